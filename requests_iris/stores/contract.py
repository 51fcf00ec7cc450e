"""What every token store must do, as a suite for pytest.

::

    class TestMyStore(StoreContract):
        def make_store(self, tmp_path):
            return MyStore(tmp_path / "tokens")
"""

from __future__ import annotations

import pickle
import threading
from concurrent.futures import ThreadPoolExecutor
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


class StoreContract:
    """Subclass it, and give it a `make_store`."""

    def make_store(self, tmp_path: Path) -> TokenStore:
        """A new store object at one place: two calls in one test share what is saved."""
        raise NotImplementedError

    def save(self, store: TokenStore, key: str, token: dict[str, Any]) -> None:
        with store.lock(key, 5):
            store.save(key, token)

    def test_it_is_a_store(self, tmp_path: Path) -> None:
        assert isinstance(self.make_store(tmp_path), TokenStore)

    def test_an_empty_store_holds_nothing(self, tmp_path: Path) -> None:
        assert self.make_store(tmp_path).load(KEY) is None

    def test_another_one_at_the_same_place_finds_the_token(self, tmp_path: Path) -> None:
        self.save(self.make_store(tmp_path), KEY, TOKEN)
        assert self.make_store(tmp_path).load(KEY) == TOKEN

    def test_the_last_token_counts(self, tmp_path: Path) -> None:
        store, newer = self.make_store(tmp_path), {**TOKEN, "access_token": "access-2"}
        self.save(store, KEY, TOKEN)
        self.save(store, KEY, newer)
        assert store.load(KEY) == newer

    def test_keys_do_not_mix(self, tmp_path: Path) -> None:
        store, other = self.make_store(tmp_path), {**TOKEN, "access_token": "access-2"}
        self.save(store, KEY, TOKEN)
        self.save(store, OTHER_KEY, other)
        assert (store.load(KEY), store.load(OTHER_KEY)) == (TOKEN, other)

    def test_it_is_read_and_written_with_the_lock_held(self, tmp_path: Path) -> None:
        store = self.make_store(tmp_path)
        with store.lock(KEY, 5):
            assert store.load(KEY) is None
            store.save(KEY, TOKEN)
            assert store.load(KEY) == TOKEN

    def test_it_is_read_while_another_one_holds_the_lock(self, tmp_path: Path) -> None:
        self.save(self.make_store(tmp_path), KEY, TOKEN)
        with self.make_store(tmp_path).lock(KEY, 5):
            assert self.make_store(tmp_path).load(KEY) == TOKEN

    @pytest.mark.parametrize("wait", [0, 0.2])
    def test_a_lock_that_is_held_is_not_given_twice(self, tmp_path: Path, wait: float) -> None:
        with (
            self.make_store(tmp_path).lock(KEY, 5),
            pytest.raises(TimeoutError),
            self.make_store(tmp_path).lock(KEY, wait),
        ):
            pass  # pragma: no cover

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

    def test_a_lock_is_free_after_an_error_within(self, tmp_path: Path) -> None:
        store = self.make_store(tmp_path)
        with pytest.raises(ZeroDivisionError), store.lock(KEY, 5):
            raise ZeroDivisionError
        with store.lock(KEY, 0):
            pass

    def test_a_pickle_of_it_leads_to_the_same_place(self, tmp_path: Path) -> None:
        store = self.make_store(tmp_path)
        self.save(store, KEY, TOKEN)
        assert pickle.loads(pickle.dumps(store)).load(KEY) == TOKEN  # noqa: S301
