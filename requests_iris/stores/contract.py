"""A test suite for pytest with the rules for every token store.

::

    class TestMyStore(StoreContract):
        def make_store(self, tmp_path):
            return MyStore(tmp_path / "tokens")
"""

from __future__ import annotations

import os
import pickle
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from . import TokenStore, key_of

KEY, OTHER_KEY = key_of("one"), key_of("another")
TOKEN: dict[str, Any] = {
    "access_token": "access-1",
    "refresh_token": "refresh-1",
    "expires_at": 1.5,
    "scope": ["api", "offline_access"],
}
NEWER: dict[str, Any] = {**TOKEN, "access_token": "access-2"}
#: Seconds that a busy machine may need for an operation without any waiting.
SLACK = 10.0


class StoreContract:
    """To test a store, subclass StoreContract and define `make_store`."""

    def make_store(self, tmp_path: Path) -> TokenStore:
        """A new store object. All objects of a test share the saved tokens."""
        raise NotImplementedError

    def save(self, store: TokenStore, key: str, token: dict[str, Any]) -> None:
        with store.lock(key, 5):
            store.save(key, token)

    def test_store_has_the_three_methods(self, tmp_path: Path) -> None:
        assert isinstance(self.make_store(tmp_path), TokenStore)

    def test_empty_store_has_no_token(self, tmp_path: Path) -> None:
        assert self.make_store(tmp_path).load(KEY) is None

    def test_another_store_object_finds_the_token(self, tmp_path: Path) -> None:
        self.save(self.make_store(tmp_path), KEY, TOKEN)
        assert self.make_store(tmp_path).load(KEY) == TOKEN

    def test_token_that_was_saved_last_is_loaded(self, tmp_path: Path) -> None:
        store = self.make_store(tmp_path)
        self.save(store, KEY, TOKEN)
        self.save(store, KEY, NEWER)
        assert store.load(KEY) == NEWER

    def test_token_of_another_store_object_replaces_the_token(self, tmp_path: Path) -> None:
        """A store with a cache would still load the old token."""
        store = self.make_store(tmp_path)
        self.save(store, KEY, TOKEN)
        assert store.load(KEY) == TOKEN
        self.save(self.make_store(tmp_path), KEY, NEWER)
        assert store.load(KEY) == NEWER

    def test_changing_a_loaded_token_does_not_change_the_store(self, tmp_path: Path) -> None:
        store = self.make_store(tmp_path)
        self.save(store, KEY, TOKEN)
        (store.load(KEY) or {}).clear()
        assert store.load(KEY) == TOKEN

    def test_keys_are_separate(self, tmp_path: Path) -> None:
        store = self.make_store(tmp_path)
        self.save(store, KEY, TOKEN)
        self.save(store, OTHER_KEY, NEWER)
        assert (store.load(KEY), store.load(OTHER_KEY)) == (TOKEN, NEWER)

    def test_deleted_token_is_gone_and_the_other_tokens_stay(self, tmp_path: Path) -> None:
        """`delete` is optional. A session calls `delete` with the lock of another key."""
        store = self.make_store(tmp_path)
        if not hasattr(store, "delete"):
            pytest.skip("this store has no delete")
        self.save(store, KEY, TOKEN)
        self.save(store, OTHER_KEY, NEWER)
        with store.lock(OTHER_KEY, 5):
            store.delete(KEY)
            store.delete(KEY)  # a missing entry is no error
        assert (store.load(KEY), store.load(OTHER_KEY)) == (None, NEWER)
        self.save(store, KEY, NEWER)
        assert store.load(KEY) == NEWER

    def test_token_is_loaded_and_saved_while_the_lock_is_held(self, tmp_path: Path) -> None:
        store = self.make_store(tmp_path)
        with store.lock(KEY, 5):
            assert store.load(KEY) is None
            store.save(KEY, TOKEN)
            assert store.load(KEY) == TOKEN

    def test_token_is_loaded_while_another_store_object_holds_the_lock(
        self, tmp_path: Path
    ) -> None:
        self.save(self.make_store(tmp_path), KEY, TOKEN)
        with self.make_store(tmp_path).lock(KEY, 5):
            assert self.make_store(tmp_path).load(KEY) == TOKEN

    @pytest.mark.parametrize("wait", [0, 0.2])
    def test_waiting_for_a_lock_that_is_held_ends_in_time(
        self, tmp_path: Path, wait: float
    ) -> None:
        with self.make_store(tmp_path).lock(KEY, 5):
            began = time.monotonic()
            with pytest.raises(TimeoutError), self.make_store(tmp_path).lock(KEY, wait):
                pass  # pragma: no cover
            assert time.monotonic() - began < wait + SLACK

    def test_waiter_gets_the_lock_and_the_token_of_the_former_holder(self, tmp_path: Path) -> None:
        store, waits = self.make_store(tmp_path), threading.Event()

        def wait() -> dict[str, Any] | None:
            waits.set()
            with self.make_store(tmp_path).lock(KEY, 3 * SLACK):
                return store.load(KEY)

        with ThreadPoolExecutor(1) as pool:
            with store.lock(KEY, 5):
                waiter = pool.submit(wait)
                assert waits.wait(SLACK)
                store.save(KEY, TOKEN)
            assert waiter.result(SLACK) == TOKEN

    def test_threads_with_one_store_exclude_each_other(self, tmp_path: Path) -> None:
        store, inside, together = self.make_store(tmp_path), threading.Lock(), 4

        def enter(_: int) -> bool:
            with store.lock(KEY, 30):
                alone = inside.acquire(blocking=False)
                store.save(KEY, TOKEN)
                if alone:
                    inside.release()
                return alone

        with ThreadPoolExecutor(together) as pool:
            assert all(pool.map(enter, range(5 * together)))

    def test_lock_is_free_after_an_error_of_its_holder(self, tmp_path: Path) -> None:
        store = self.make_store(tmp_path)
        with pytest.raises(ZeroDivisionError), store.lock(KEY, 5):
            raise ZeroDivisionError
        with store.lock(KEY, 0):
            pass

    def test_pickled_store_has_the_same_tokens(self, tmp_path: Path) -> None:
        store = self.make_store(tmp_path)
        self.save(store, KEY, TOKEN)
        assert pickle.loads(pickle.dumps(store)).load(KEY) == TOKEN  # noqa: S301

    def test_load_that_fails_raises_and_does_not_report_an_empty_store(
        self, tmp_path: Path
    ) -> None:
        self.save(self.make_store(tmp_path), KEY, TOKEN)
        store = self.make_store(tmp_path)
        with no_file_descriptors():
            try:
                found = store.load(KEY)
            except Exception:
                found = TOKEN
        assert found == TOKEN, "the store reported that there is no token"
        assert store.load(KEY) == TOKEN

    def test_save_that_fails_loses_no_token(self, tmp_path: Path) -> None:
        store = self.make_store(tmp_path)
        self.save(store, KEY, TOKEN)
        self.save(store, OTHER_KEY, TOKEN)
        with store.lock(KEY, 5), no_file_descriptors(), suppress(Exception):
            store.save(KEY, NEWER)
        assert store.load(KEY) in (TOKEN, NEWER)
        assert store.load(OTHER_KEY) == TOKEN
        self.save(store, KEY, NEWER)
        assert (store.load(KEY), store.load(OTHER_KEY)) == (NEWER, TOKEN)


@contextmanager
def no_file_descriptors() -> Iterator[None]:
    """A real fault: the process cannot open any more files or connections."""
    resource = pytest.importorskip("resource", reason="there are no limits on this system")
    next_one = os.open(os.devnull, os.O_RDONLY)
    os.close(next_one)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (next_one, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
