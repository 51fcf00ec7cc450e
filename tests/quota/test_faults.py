"""A store that fails never stops a request. The failure is reported once, with advice."""

from __future__ import annotations

import logging
import os
import resource
import shutil
import signal
import socket
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from requests_iris import QuotaExceededError
from requests_iris.quota import Quota, owner_of
from requests_iris.quota.memory import MemoryQuotaStore
from requests_iris.sandbox import MovableClock

from ..support.redis_server import RedisServer, free_port
from ..support.waiting import HUNG, wait_until

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the faults are those of POSIX")
PAGE = "https://iris.trackunit.com/public/api/aemp/v2/15143/-3/Fleet/"


class User:
    """A user with a clock of its own. Each request goes to a page that no request has used."""

    def __init__(self, place: str | Path) -> None:
        self.quota, self.clock = Quota(place), MovableClock()
        self.owner = owner_of(username="alice@example.org")
        self.page = 0

    def send(self, page: int | None = None) -> int:
        if page is None:
            self.page = page = self.page + 1
        self.quota.reserve(self.owner, "GET", f"{PAGE}{page}", clock=self.clock).settle()
        return page

    def refused(self, page: int) -> None:
        with pytest.raises(QuotaExceededError):
            self.send(page)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "quota.db"


@pytest.fixture
def user(path: Path) -> User:
    return User(path)


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    def found() -> list[str]:
        assert "alice" not in caplog.text
        assert "hunter2" not in caplog.text
        return [each.getMessage() for each in caplog.records if each.levelno >= logging.WARNING]

    return found


def check_memory_counts(user: User) -> None:
    """Requests continue, and are counted."""
    page = user.send()
    user.refused(page)
    user.send()


def count(path: Path) -> int:
    """The slots in a file."""
    with sqlite3.connect(path) as connection:
        ((slots,),) = connection.execute("SELECT count(*) FROM slots")
    connection.close()
    return slots


def use_up(user: User) -> None:
    user.send()
    user.quota.flush()


@contextmanager
def locked(path: Path) -> Iterator[None]:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    yield
    connection.execute("ROLLBACK")
    connection.close()


def test_locked_file_does_not_stop_a_request_and_is_used_again_within_10_seconds(
    user, path, warnings, monkeypatch
) -> None:
    monkeypatch.setattr("requests_iris.quota.database.BUSY", 0.1)
    use_up(user)
    with locked(path):
        check_memory_counts(user)
        (warning,) = warnings()
        assert f"{path}: database is locked" in warning
        assert "End this process" in warning
        assert "TRACKUNIT_QUOTA" in warning
        user.clock.advance(10)
        user.send()  # asks the store again, without a second warning
    taken_alone = user.page
    user.clock.advance(10)
    user.send()
    user.quota.flush()
    assert len(warnings()) == 1
    assert count(path) == 2
    user.refused(taken_alone)  # the store does not know these slots
    with locked(path):
        user.send()
    assert len(warnings()) == 2


def test_threads_at_a_locked_file_wait_for_it_once(user, path, warnings, monkeypatch) -> None:
    busy = 0.5
    monkeypatch.setattr("requests_iris.quota.database.BUSY", busy)
    use_up(user)
    began = time.monotonic()
    with locked(path), ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(user.send, page) for page in range(100, 140)]:
            done.result(HUNG)
    assert time.monotonic() - began < 7 * busy, "one after the other, eight threads wait longer"
    assert 1 <= len(warnings()) <= 8  # a race may warn twice


@pytest.mark.parametrize(
    "content",
    [b"x", b"not a database\n" * 500, b"SQLite format 3\0" + b"\xff" * 9000, b"\0" * 5000],
    ids=["a letter", "text", "a broken header", "zeros"],
)
def test_damaged_quota_file_is_kept_and_replaced(user, path, warnings, content: bytes) -> None:
    path.write_bytes(content)
    check_memory_counts(user)
    user.quota.flush()
    assert path.with_name("quota.db.bak").read_bytes() == content
    assert count(path) == 2
    (warning,) = warnings()
    assert "quota.db.bak" in warning


def test_file_that_is_damaged_while_open_is_kept_and_replaced(user, path, warnings) -> None:
    use_up(user)
    for number in range(3):
        with open(path, "r+b") as file:
            file.write(b"\xff" * 12288)
        for ending in ("-wal", "-shm"):
            path.with_name(f"quota.db{ending}").write_bytes(b"\xff" * 40000)
        check_memory_counts(user)
        assert path.with_name(f"quota.db.bak{number or ''}").exists()
        check_memory_counts(user)
        user.quota.flush()
        assert count(path) == 4
    assert len(warnings()) == 3


@pytest.mark.parametrize(
    "damage",
    [
        *("UPDATE slots SET stamp = 'x'", "UPDATE slots SET stamp = x'ff'"),
        *("UPDATE slots SET pooled = 5", "UPDATE slots SET pooled = 'x'"),
        *("UPDATE keys SET since = 1, until = 'x'", "UPDATE keys SET until = 9e18"),
        *(
            "UPDATE keys SET label = x'ff'",
            "DROP TABLE slots",
            "ALTER TABLE keys DROP COLUMN until",
        ),
    ],
)
def test_file_with_damaged_values_is_kept_and_replaced(user, path, warnings, damage: str) -> None:
    use_up(user)
    user.quota.store.close()
    with sqlite3.connect(path) as connection:
        connection.execute(damage)
    connection.close()
    check_memory_counts(user)
    user.quota.entries(user.owner, clock=user.clock)
    with suppress(QuotaExceededError):
        user.send(1)
    page = user.send()
    User(path).refused(page)  # the file counts again, without a wait
    (warning,) = warnings()
    assert "quota.db.bak" in warning


def test_file_with_a_block_without_an_end_blocks_for_31_days_at_most(user, path, warnings) -> None:
    use_up(user)
    user.quota.blocked(user.owner, "GET", f"{PAGE}1", retry_after=5, clock=user.clock)
    for until in ("9e18", "9e999"):
        with sqlite3.connect(path) as connection:
            connection.execute(f"UPDATE keys SET until = {until} WHERE until IS NOT NULL")
        connection.close()
        with pytest.raises(QuotaExceededError) as caught:
            user.send(1)
        assert caught.value.retry_after <= 31 * 86_400
    assert warnings() == []


def test_database_of_another_program_is_kept_and_replaced(user, path, warnings) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE theirs (it INTEGER)")
    connection.close()
    check_memory_counts(user)
    assert b"theirs" in path.with_name("quota.db.bak").read_bytes()
    assert len(warnings()) == 1


def test_file_of_a_later_version_is_left_alone(user, path, warnings) -> None:
    use_up(User(path.with_name("later.db")))
    with sqlite3.connect(path.with_name("later.db")) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    os.rename(path.with_name("later.db"), path)
    check_memory_counts(user)
    assert [name for name in os.listdir(path.parent) if "bak" in name] == []
    assert "nother version" in warnings()[0]


def test_ten_damaged_files_at_most_are_kept(user, path, warnings) -> None:
    for number in range(10):
        path.with_name(f"quota.db.bak{number or ''}").touch()
    path.write_bytes(b"not a database")
    check_memory_counts(user)
    assert path.read_bytes() == b"not a database"
    assert "Remove the files quota.db.bak*" in warnings()[0]


@pytest.mark.parametrize("replaced", [False, True])
def test_file_that_is_deleted_or_replaced_while_open_is_opened_again(
    user, path, warnings, replaced: bool
) -> None:
    use_up(user)
    user.send()  # its response is left for later
    os.rename(path, path.with_name("elsewhere.db"))
    if replaced:
        use_up(User(path))
    check_memory_counts(user)
    user.quota.flush()
    assert count(path) == 2 + replaced
    assert warnings() == []


def test_deleted_directory_of_the_quota_file_is_created_again(tmp_path, warnings) -> None:
    user = User(tmp_path / "a" / "b" / "quota.db")
    use_up(user)
    shutil.rmtree(tmp_path / "a")
    check_memory_counts(user)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o700
    assert warnings() == []


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_only_the_owner_can_read_the_quota_file(path, umask: int) -> None:
    before = os.umask(umask)
    try:
        use_up(User(path))
        User(path).send(5)
        assert {stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()} == {0o600}
    finally:
        os.umask(before)


def test_file_that_others_could_read_is_made_private(path) -> None:
    path.touch(mode=0o666)
    path.chmod(0o666)
    use_up(User(path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("kind", ["directory", "fifo", "below a file", "device"])
def test_path_that_cannot_be_a_file_does_not_stop_a_request(path, warnings, kind: str) -> None:
    place = {"below a file": path / "quota.db", "device": "/dev/null"}.get(kind, path)
    if kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.touch()
    user = User(place)
    check_memory_counts(user)
    user.clock.advance(10)
    check_memory_counts(user)
    (warning,) = warnings()
    assert str(place) in warning


#: Makes two requests to a page in a process of its own, and one more to another page.
SCRIPT = """
import logging, os, resource, signal, sys
from requests_iris import Quota, QuotaExceededError
path, fault = sys.argv[1:]
quota = Quota(path)
def send(page):
    quota.reserve("user:alice", "GET", "https://h/aemp/v2/1/-1/Fleet/%s" % page).settle()
send(1)
quota.flush()
logging.basicConfig(format="%(levelname)s %(message)s", stream=sys.stdout)
if fault == "full":
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
elif fault == "read-only":
    os.chmod(path, 0o400)
    os.chmod(os.path.dirname(path), 0o500)
    if os.geteuid() == 0:  # root may write everything
        os.chown(path, 65534, 65534)
        os.chown(os.path.dirname(path), 65534, 65534)
        os.seteuid(65534)
    quota = None  # closes the connection
    quota = Quota(path)
for page in range(2, 5):
    send(page)
try:
    send(4)
except QuotaExceededError:
    print("refused")
os.seteuid(0) if os.getuid() == 0 else None
"""


@pytest.mark.parametrize("fault", ["full", "read-only"])
def test_file_that_cannot_be_written_does_not_stop_a_request(fault: str) -> None:
    # not below pytest's directories, which only root can enter
    with tempfile.TemporaryDirectory() as directory:
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, f"{directory}/quota.db", fault],
            capture_output=True,
            text=True,
            timeout=HUNG,
        )
        os.chmod(directory, 0o700)
    assert done.stderr == ""
    warning, refused = done.stdout.splitlines()
    assert warning.startswith("WARNING The quota store failed: ")
    assert refused == "refused"
    assert {"full": "disk I/O error", "read-only": "unable to open"}[fault] in warning


def test_process_without_file_descriptors_sends_requests(user, path, warnings) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    free = os.open(os.devnull, os.O_RDONLY)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        check_memory_counts(user)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert len(warnings()) == 1
    user.clock.advance(10)
    user.send()
    user.quota.flush()
    assert count(path) == 1


def test_unknown_error_of_an_own_store_is_reported_without_its_text(warnings) -> None:
    class Broken:
        paces = False

        def reserve(self, *_, **__):
            raise ValueError("hunter2")

        settle = give_back = block = usages = records = flush = reserve

    user = User("memory")
    user.quota = Quota(Broken())
    check_memory_counts(user)
    user.quota.blocked(user.owner, "GET", f"{PAGE}9", clock=user.clock)
    user.refused(9)
    assert user.quota.state(user.owner, f"{PAGE}9", clock=user.clock).remaining == 0
    assert len(user.quota.entries(user.owner, clock=user.clock)) == 3
    user.quota.flush()
    (warning,) = warnings()
    assert "ValueError" in warning


def test_own_store_that_hangs_does_not_stop_a_request(warnings, monkeypatch) -> None:
    monkeypatch.setattr("requests_iris.quota.ledger.ANSWERS_WITHIN", 0.1)
    monkeypatch.setattr("requests_iris.quota.ledger.MOST_HANGING", 3)
    wakes, threads = threading.Event(), threading.active_count()

    class Hanging(MemoryQuotaStore):
        is_prompt = False

        def reserve(self, *arguments, **settings):
            calls.append(wakes.wait(HUNG))
            return super().reserve(*arguments, **settings)

    calls: list[bool] = []
    user = User("memory")
    user.quota = Quota(Hanging())
    check_memory_counts(user)
    for _ in range(5):
        user.clock.advance(10)
        user.send()
    (warning,) = warnings()
    assert "no answer within" in warning
    wakes.set()
    wait_until(lambda: len(calls) == 3)  # a store that hangs for days uses up no threads
    user.clock.advance(10)
    user.refused(user.send())
    assert len(calls) > 3
    assert threading.active_count() == threads


def test_redis_that_is_not_there_does_not_stop_a_request_and_is_used_when_it_is_back(
    tmp_path, warnings
) -> None:
    with free_port() as port:
        server = RedisServer(tmp_path, port)
        user = User(server.url)
        check_memory_counts(user)
        (warning,) = warnings()
        assert f"Redis at 127.0.0.1:{port} cannot be used: Connection refused" in warning
        assert "Check that Redis runs" in warning
        server.start()
        try:
            user.clock.advance(10)
            page = user.send()
            other = User(server.url)
            other.clock.advance(10)
            other.refused(page)
            assert len(warnings()) == 1
        finally:
            server.stop()
        user.send()
        assert len(warnings()) == 2


def test_redis_that_forgets_its_scripts_gets_the_script_again(redis_url) -> None:
    import redis

    user = User(redis_url)
    user.owner = owner_of(username=f"alice-{os.getpid()}-scripts")
    user.send()
    with redis.Redis.from_url(redis_url) as client:
        client.script_flush()
    user.send()
    user.refused(2)


def test_wrong_password_of_redis_does_not_stop_a_request(redis_url, warnings) -> None:
    check_memory_counts(User(redis_url.replace("redis-pass", "hunter2")))
    (warning,) = warnings()
    assert "Redis refused the user name or the password" in warning


def test_redis_that_does_not_respond_does_not_stop_a_request(warnings, monkeypatch) -> None:
    monkeypatch.setattr("requests_iris.stores.redis.TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        user = User(f"redis://127.0.0.1:{silent.getsockname()[1]}")
        check_memory_counts(user)
        silent.settimeout(0)
        silent.accept()[0].close()
        with pytest.raises(BlockingIOError):  # asked once
            silent.accept()
    (warning,) = warnings()
    assert "no response within 0.2 seconds" in warning


def test_store_that_answers_late_counts_as_failing(warnings, monkeypatch) -> None:
    monkeypatch.setattr("requests_iris.quota.ledger.ANSWERS_WITHIN", -1)
    user = User("memory")
    user.quota = Quota(MemoryQuotaStore())
    user.send()
    check_memory_counts(user)
    (warning,) = warnings()
    assert "no answer within" in warning


def test_interrupt_inside_the_store_takes_no_slot_and_leaves_the_store_usable(
    user, path, warnings, monkeypatch
) -> None:
    monkeypatch.setattr("requests_iris.quota.database.BUSY", 0.3)
    use_up(user)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    try:
        with locked(path), pytest.raises(KeyboardInterrupt):
            user.send()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    user.send(user.page)
    user.quota.flush()
    assert count(path) == 2
    assert warnings() == []
