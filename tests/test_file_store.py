"""The token store in a file, under real faults: limits, permissions, full disks, programs."""

from __future__ import annotations

import errno
import json
import logging
import os
import shutil
import signal
import socket
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

from requests_iris import FileTokenStore, IrisSession
from requests_iris.stores import LockTimeout, StoreError
from requests_iris.stores.contract import KEY, NEWER, OTHER_KEY, TOKEN, no_file_descriptors

from .test_stores import save, warnings

resource = pytest.importorskip("resource")

ASSETS = "/api/asset/v1/assets"
#: A user that owns nothing.
NOBODY = 65534

pytestmark = pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")


@pytest.fixture
def file(tmp_path: Path) -> FileTokenStore:
    return FileTokenStore(tmp_path / "made" / "settings.json")


def names(store: FileTokenStore) -> set[str]:
    return {path.name for path in store.path.parent.iterdir()}


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# damage


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"[]", b"{}", b"null", b'"requests_iris"', b"\xff", b"[" * 100_000, b"9" * 10_000),
        *(b'{"requests_iris": 1, "tok', b'{"requests_iris": 2, "tokens": {}}'),
        *(b'{"requests_iris": 1, "tokens": []}', b" " * (16 * 2**20 + 1)),
    ],
    ids=lambda content: content[:20],
)
def test_damaged_file_is_reported_once_and_kept_under_another_name(file, content, caplog) -> None:
    file.path.parent.mkdir()
    file.path.write_bytes(content)
    file.path.chmod(0o600)
    assert file.load(KEY) is None
    save(file)
    assert file.load(KEY) == TOKEN
    assert len(warnings(caplog)) == 1
    assert file.path.with_name("settings.json.bak").read_bytes() == content


@pytest.mark.parametrize("number", range(1, 4))
def test_file_that_is_set_aside_overwrites_nothing(file, number: int) -> None:
    """`settings.json` may be a file of the user, with backups of the user beside the file."""
    file.path.parent.mkdir()
    endings = ["", ".tmp", ".lock", ".bak", ".bak1", ".bak2"][: 3 + number]
    mine = {file.path.with_name(file.path.name + ending): f"mine{ending}" for ending in endings}
    for path, text in mine.items():
        path.write_text(text)
        path.chmod(0o640)
    save(file)
    assert file.load(KEY) == TOKEN
    mine[file.path.with_name(f"settings.json.bak{number}")] = mine.pop(file.path)
    assert {path: path.read_text() for path in mine} == mine
    assert {mode(path) for path in mine} == {0o640}


def test_files_that_are_set_aside_do_not_fill_the_disk(file, caplog) -> None:
    file.path.parent.mkdir()
    for number in range(10):
        file.path.write_text(f"damaged {number}")
        save(file)
    file.path.write_text("damaged again")
    before = names(file)
    with pytest.raises(StoreError, match=r"Remove the files settings\.json\.bak"):
        save(file)
    assert file.path.read_text() == "damaged again"
    assert names(file) == before


def test_file_of_another_user_is_not_trusted(file, monkeypatch, caplog) -> None:
    save(file)
    monkeypatch.setattr(os, "geteuid", lambda: file.path.stat().st_uid + 1)
    assert file.load(KEY) is None
    assert "a file of a different user" in warnings(caplog)[0]


def test_link_is_replaced_and_not_followed(file, tmp_path) -> None:
    elsewhere = FileTokenStore(tmp_path / "elsewhere")
    save(elsewhere, {"access_token": "planted"})
    before = elsewhere.path.read_bytes()
    file.path.parent.mkdir()
    file.path.symlink_to(elsewhere.path)
    assert file.load(KEY) is None
    save(file)
    assert not file.path.is_symlink()
    assert file.path.with_name("settings.json.bak").is_symlink()
    assert elsewhere.path.read_bytes() == before


def test_link_at_the_path_of_the_lock_is_not_followed(file, tmp_path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("precious")
    with file.lock(KEY, 1):
        (lock,) = file.path.parent.iterdir()
    lock.unlink()
    lock.symlink_to(elsewhere)
    with pytest.raises(OSError, match="link"), file.lock(KEY, 1):
        raise AssertionError("the store locked the file of a different program")
    assert elsewhere.read_text() == "precious"


def pipe_at(path: Path) -> None:
    os.mkfifo(path)


def socket_at(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(path))  # the path of a socket must be short


@pytest.mark.parametrize("make", [pipe_at, socket_at])
def test_pipe_or_socket_is_replaced_without_waiting_for_it(
    file, make: Callable[[Path], None]
) -> None:
    file.path.parent.mkdir()
    make(file.path)
    assert file.load(KEY) is None
    save(file)
    assert file.load(KEY) == TOKEN


def test_directory_is_neither_replaced_nor_renamed(file) -> None:
    file.path.mkdir(parents=True)
    (file.path / "precious").touch()
    with pytest.raises(StoreError, match="directory"):
        file.load(KEY)
    with pytest.raises(StoreError, match="directory"):
        save(file)
    assert (file.path / "precious").exists()


def test_file_that_a_program_rewrites_in_place_is_not_damaged(file) -> None:
    """An editor empties the file before writing. A moment later the file is complete again."""
    save(file)
    content = file.path.read_bytes()
    file.path.write_bytes(content[:40])
    writer = threading.Timer(0.03, file.path.write_bytes, [content])
    with file.lock(KEY, 5):
        writer.start()
        file.save(OTHER_KEY, NEWER)
    writer.join()
    assert (file.load(KEY), file.load(OTHER_KEY)) == (TOKEN, NEWER)
    assert "settings.json.bak" not in names(file)


def test_file_that_changes_during_reading_is_a_passing_error(file, monkeypatch) -> None:
    save(file)
    fstat, changes = os.fstat, iter([b"", b"x" * 4000])

    def fstat_before_a_change(descriptor: int) -> os.stat_result:
        status = fstat(descriptor)
        with suppress(StopIteration):
            file.path.write_bytes(next(changes))
        return status

    content = file.path.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(os, "fstat", fstat_before_a_change)
        with pytest.raises(StoreError, match="changed"):
            file.load(KEY)
    file.path.write_bytes(content)
    assert file.load(KEY) == TOKEN


def test_reader_beside_a_writer_sees_each_file_whole(file) -> None:
    """Each save replaces the file as a whole."""
    large = {**TOKEN, "padding": "x" * 200_000}
    save(file, large)
    done = threading.Event()

    def write() -> None:
        other = FileTokenStore(file.path)
        while not done.is_set():
            save(other, {**large, "number": time.monotonic()})

    with ThreadPoolExecutor(1) as pool:
        writer = pool.submit(write)
        try:
            numbers = {(file.load(KEY) or {}).get("number") for _ in range(300)}
        finally:
            done.set()
        writer.result()
    assert len(numbers) > 1


# a passing error is raised, and changes nothing


@contextmanager
def unharmed(store: FileTokenStore) -> Iterator[None]:
    """In the block nothing happens to the tokens of two users, or to the list of files."""
    save(store)
    with store.lock(OTHER_KEY, 5):
        store.save(OTHER_KEY, NEWER)
    before = names(store)
    yield
    assert (store.load(KEY), store.load(OTHER_KEY)) == (TOKEN, NEWER)
    assert names(store) == before


def test_no_file_descriptors_are_a_passing_error(file, caplog) -> None:
    with unharmed(file):
        with no_file_descriptors(), pytest.raises(OSError, match="Too many open files"):
            file.load(KEY)
        with file.lock(KEY, 5), no_file_descriptors(), pytest.raises(OSError, match="Too many"):
            file.save(KEY, NEWER)
    assert warnings(caplog) == []


def test_disk_error_during_reading_is_a_passing_error() -> None:
    """The memory of this process cannot be read at address 0: a real EIO."""
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        FileTokenStore("/proc/self/mem").load(KEY)


@contextmanager
def small_files() -> Iterator[None]:
    """Writing more than 100 bytes into a file fails with EFBIG."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_file_size_limit_is_a_passing_error(file) -> None:
    too_large = pytest.raises(OSError, match=os.strerror(errno.EFBIG))
    with unharmed(file), file.lock(KEY, 5), small_files(), too_large:
        file.save(KEY, NEWER)


def test_failed_write_keeps_the_damaged_file_at_its_path(file) -> None:
    file.path.parent.mkdir()
    file.path.write_text("damaged")
    too_large = pytest.raises(OSError, match=os.strerror(errno.EFBIG))
    with file.lock(KEY, 5), small_files(), too_large:
        file.save(KEY, TOKEN)
    assert file.path.read_text() == "damaged"
    assert "settings.json.bak" not in names(file)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 KiB."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=16k", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("this user cannot mount a file system")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_full_disk_is_a_passing_error_with_one_warning(small_disk, sandbox, caplog) -> None:
    file = FileTokenStore(small_disk / "token.json")
    with unharmed(file):
        with suppress(OSError), open(small_disk / "filler", "wb") as filler:
            filler.write(bytes(2**20))
        with IrisSession(**sandbox.settings, token_store=file) as iris:
            iris.verify = sandbox.ca_file
            for _ in range(3):
                assert iris.get(ASSETS).ok
                sandbox.expire_access_tokens()
        (warning,) = warnings(caplog)
        assert "No space left on device" in warning
        os.unlink(small_disk / "filler")
    save(file, NEWER)
    assert file.load(KEY) == NEWER


def as_nobody(code: str, place: Path) -> str:
    """The output of Python code that a different user runs, with a `store` in `place`."""
    code = f"""
import os, sys
sys.path[:0] = {sys.path!r}
from requests_iris import FileTokenStore
from requests_iris.stores.contract import KEY, NEWER, OTHER_KEY, TOKEN
import filelock
os.setegid({NOBODY}); os.seteuid({NOBODY})
store = FileTokenStore({str(place / "settings.json")!r})
def attempt(operation):
    try:
        return operation()
    except OSError as error:
        return error.strerror
{code}
"""
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return ran.stdout.strip()


@pytest.fixture
def shared_place() -> Iterator[Path]:
    """A directory for every user. The directories of pytest are private."""
    if os.geteuid() != 0:
        pytest.skip("only root can act as another user")
    place = Path(tempfile.mkdtemp())
    place.chmod(0o777)
    yield place
    shutil.rmtree(place)


def test_file_without_permission_is_a_passing_error(shared_place) -> None:
    """The user may rename files in this directory, and the store must not."""
    file = FileTokenStore(shared_place / "settings.json")
    save(file)
    before = names(file)
    code = """
print(attempt(lambda: store.load(KEY)))
def save():
    with store.lock(KEY, 5):
        store.save(KEY, NEWER)
print(attempt(save))
"""
    shown = as_nobody(code, shared_place).splitlines()
    assert [line for line in shown if "ermission" not in line] == []
    assert len(shown) == 2
    assert file.load(KEY) == TOKEN
    assert names(file) == before


def test_directory_without_write_permission_can_be_read(shared_place) -> None:
    shown = as_nobody(
        """
with store.lock(KEY, 5):
    store.save(KEY, TOKEN)
os.seteuid(0)
os.unlink(store.path.with_name(".settings.json.requests_iris.lock"))
os.chmod(store.path.parent, 0o555)
os.seteuid(65534)
print(store.load(KEY) == TOKEN)
def save():
    with store.lock(KEY, 5):
        store.save(KEY, NEWER)
print(attempt(save))
print(store.load(KEY) == TOKEN)
""",
        shared_place,
    )
    assert shown.splitlines() == ["True", "Permission denied", "True"]


def test_file_of_another_user_is_kept_when_it_is_set_aside(shared_place) -> None:
    (shared_place / "settings.json").write_text("of root")
    shown = as_nobody(
        """
print(store.load(KEY))
with store.lock(KEY, 5):
    store.save(KEY, TOKEN)
print(store.load(KEY) == TOKEN)
""",
        shared_place,
    )
    assert shown.splitlines() == ["None", "True"]
    assert (shared_place / "settings.json.bak").read_text() == "of root"


def test_file_system_without_locks_lets_requests_continue_with_one_warning(
    file, sandbox, caplog, monkeypatch
) -> None:
    """NFS without its lock service answers ENOLCK."""
    import fcntl

    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    with unharmed(file):
        monkeypatch.setattr(fcntl, "flock", no_locks)
        with IrisSession(**sandbox.settings, token_store=file) as iris:
            iris.verify = sandbox.ca_file
            for _ in range(3):
                assert iris.get(ASSETS).ok
                sandbox.expire_access_tokens()
        (warning,) = warnings(caplog)
        assert "No locks available" in warning


def test_write_that_fails_at_the_end_keeps_the_former_token(file, monkeypatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with unharmed(file), monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            save(file, NEWER)


def test_missing_directory_is_an_empty_store(tmp_path) -> None:
    assert FileTokenStore(tmp_path / "a" / "b" / "token.json").load(KEY) is None
    assert list(tmp_path.iterdir()) == []


# who may read


@pytest.mark.parametrize("umask", [0, 0o022, 0o077, 0o277, 0o777], ids=oct)
def test_files_and_directories_belong_to_the_owner_alone_whatever_the_umask(
    tmp_path, umask: int
) -> None:
    file = FileTokenStore(tmp_path / "a" / "b" / "c" / "token.json")
    before = os.umask(umask)
    try:
        save(file)
        assert file.load(KEY) == TOKEN
    finally:
        os.umask(before)
    created = [file.path.parents[level] for level in range(3)]
    assert [mode(path) for path in created] == [0o700] * 3
    assert {mode(path) for path in file.path.parent.iterdir()} == {0o600}


def test_existing_directories_keep_their_mode(tmp_path) -> None:
    tmp_path.chmod(0o755)
    save(FileTokenStore(tmp_path / "token.json"))
    assert mode(tmp_path) == 0o755


def test_path_with_dots_creates_each_directory(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = FileTokenStore("a/../b/./token.json")
    save(file)
    assert (tmp_path / "b" / "token.json").exists()


def test_directory_that_can_never_exist_is_an_error() -> None:
    file = FileTokenStore("/proc/no/such/token.json")
    with pytest.raises(FileNotFoundError), file.lock(KEY, 1):
        pass  # pragma: no cover


def test_file_that_others_can_read_becomes_private(file, caplog) -> None:
    save(file)
    file.path.chmod(0o644)
    assert file.load(KEY) == TOKEN
    assert mode(file.path) == 0o600
    assert "others could read" in warnings(caplog)[0]


def test_file_on_a_read_only_disk_is_read_with_one_warning(small_disk, caplog) -> None:
    file = FileTokenStore(small_disk / "token.json")
    save(file)
    file.path.chmod(0o644)
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    for _ in range(3):
        assert file.load(KEY) == TOKEN
    with pytest.raises(OSError, match="Read-only file system"):
        save(file, NEWER)
    (warning,) = warnings(caplog)
    assert warning == f"others can read the token store {file.path}: Read-only file system"


# the lock


def test_two_stores_in_one_directory_have_locks_of_their_own(tmp_path) -> None:
    with FileTokenStore(tmp_path / "a").lock(KEY, 0), FileTokenStore(tmp_path / "b").lock(KEY, 0):
        pass


def test_lock_timeout_names_the_file(file) -> None:
    with file.lock(KEY, 1), pytest.raises(LockTimeout) as caught, file.lock(KEY, 0):
        pass  # pragma: no cover
    assert str(caught.value) == f"A different process holds the lock of {file.path}"


def test_lock_ends_with_its_process(file) -> None:
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, time; from requests_iris import FileTokenStore\n"
            "with FileTokenStore(sys.argv[1]).lock('', 1): print(flush=True); time.sleep(600)",
            str(file.path),
        ],
        stdout=subprocess.PIPE,
    )
    with holder:
        assert holder.stdout.readline()
        with pytest.raises(TimeoutError), file.lock(KEY, 0):
            pass  # pragma: no cover
        holder.send_signal(signal.SIGKILL)
        with file.lock(KEY, 10):
            pass


def test_file_left_by_a_killed_save_is_replaced(file) -> None:
    save(file)
    (lock,) = (path for path in file.path.parent.iterdir() if path != file.path)
    left = lock.with_suffix(".tmp")
    left.write_text("half a fi")
    save(file, NEWER)
    assert file.load(KEY) == NEWER
    assert not left.exists()


def test_content_is_readable_json_that_names_its_format(file) -> None:
    save(file)
    assert json.loads(file.path.read_text()) == {"requests_iris": 1, "tokens": {KEY: TOKEN}}


def test_no_log_record_holds_a_token(file, caplog) -> None:
    caplog.set_level(logging.DEBUG)
    save(file)
    file.path.write_text(file.path.read_text()[:-9])
    assert file.load(KEY) is None
    save(file)
    assert caplog.records
    assert not any(str(TOKEN[name]) in caplog.text for name in ("access_token", "refresh_token"))
