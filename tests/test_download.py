"""Downloads from servers on loopback, most of which misbehave; archives, whole and damaged."""

import errno
import gzip
import hashlib
import io
import os
import signal
import subprocess
import sys
import tarfile
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from filelock import FileLock
from servers import Server, forever, no_proxy, reply, silent  # noqa: F401

from utils.machinery import downloads as module
from utils.machinery.downloads import DownloadError, download, extract_tar, gunzip

ROOT = Path(__file__).parents[1]
BODY = os.urandom(100_000)
MD5 = hashlib.md5(BODY).hexdigest()
DEAD = "http://127.0.0.1:1/file.bin"
FILES = {"batches.meta": b"names", "data_batch_1": BODY}
linux = pytest.mark.skipif(sys.platform != "linux", reason="uses what Linux has")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "file.bin"


def part_of(path):
    return path.with_name(path.name + ".part")


def whole(server, send, first):
    """A server with Range, as it should be."""
    if first is not None and first >= len(BODY):
        return send(reply(b"<html>no", "416 Range Not Satisfiable", Content_Type="text/html"))
    return send(reply(BODY[first:], "206 Partial Content") if first else reply(BODY))


def dropped(count):
    """Only the first `count` bytes of the body, and then the connection is gone."""
    return reply(BODY)[: len(reply(BODY)) - len(BODY) + count]


def get(path, *mirrors):
    urls = [getattr(mirror, "url", mirror) for mirror in mirrors]
    return download(urls, path, MD5, size=len(BODY))


def arrives(path, *mirrors):
    assert get(path, *mirrors) == path
    assert path.read_bytes() == BODY
    assert not part_of(path).exists()


def fails(path, *mirrors):
    """The sentence of a download that fails; nothing may be under the file's name."""
    with pytest.raises(DownloadError) as caught:
        get(path, *mirrors)
    assert not path.exists()
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_fetches_the_file_once(tmp_path):
    path = tmp_path / "a new folder" / "file.bin"
    with Server(whole) as server:
        arrives(path, server)
    arrives(path, DEAD)
    path.rename(part_of(path))  # as if the program had been killed just before the last step
    arrives(path, DEAD)


@pytest.mark.parametrize("count", [0, 1, 40_000, len(BODY) - 1])
def test_what_one_mirror_sent_is_completed_by_the_next(path, count):
    with Server(dropped(count)) as first, Server(whole) as second:
        arrives(path, first, second)
        assert second.ranges == [count or None]


def test_a_mirror_gets_a_second_try_and_the_next_call_goes_on(path):
    with Server(dropped(40_000), reply(b"", "503 Busy"), whole) as server:
        assert "503" in fails(path, server)
        arrives(path, server)
        assert server.ranges == [None, 40_000, 40_000]


@pytest.mark.parametrize("part", [BODY[:700], bytes(500), bytes(len(BODY)), BODY + b"more"])
@pytest.mark.parametrize("answer", [whole, reply(BODY)], ids=["with Range", "without"])
def test_a_part_is_completed_or_thrown_away(path, part, answer):
    path.write_bytes(b"half of it")  # a wrong file is replaced
    part_of(path).write_bytes(part)
    with Server(answer) as server:
        arrives(path, server)


def test_bytes_come_as_they_are_whatever_the_headers_say(path):
    packed = gzip.compress(BODY)
    with Server(reply(packed, Content_Encoding="gzip")) as server:
        download([server.url], path, hashlib.md5(packed).hexdigest())
    assert path.read_bytes() == packed
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(c), c) for c in (BODY[:9], BODY[9:], b""))
    with Server(reply(Content_Length=None, Transfer_Encoding="chunked") + chunks) as server:
        arrives(path.with_name("other.bin"), server)


BAD = {
    "404": reply(b"no such file", "404 Not Found"),
    "a sign-in page": reply(
        b"<html>Please sign in</html>", Content_Type="text/html; charset=utf-8"
    ),
    "another file": reply(bytes(len(BODY))),
    "a file cut short": reply(BODY[:-1]),
    "no HTTP": b"SSH-2.0-OpenSSH_9.6\r\n",
    "a redirect in a circle": reply(b"", "302 Found", Location="/again"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_mirror_is_left_for_a_good_one(path, name):
    part_of(path).write_bytes(BODY[:5000])
    with Server(BAD[name]) as bad, Server(whole) as good:
        arrives(path, bad, good)
        lost = name in ("another file", "a file cut short")
        assert good.ranges == [None if lost else 5000]
        assert bad.address in fails(path.with_name("other.bin"), bad)


def test_dead_proxies_and_addresses_that_are_none(path, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    mirrors = [
        "http://mirror.invalid/file.bin",
        "http://[::1/file.bin",
        "http://127.0.0.1:port/file.bin",
    ]
    assert "ProxyError" in fails(path, *mirrors)


def test_silence_ends_and_keeps_what_came(path, monkeypatch):
    monkeypatch.setattr(module, "TIMEOUT", (0.2, 0.2))
    with Server(silent) as dead, Server(forever(dropped(9000), b"", 9)) as stalled:
        fails(path, dead, stalled)
    assert part_of(path).read_bytes() == BODY[:9000]


@linux
def test_disks_that_are_full_and_folders_that_are_files(path):
    part_of(path).symlink_to("/dev/full")
    path.with_name("file").write_bytes(b"")
    path.with_name("file.gz").write_bytes(gzip.compress(BODY))
    with Server(whole) as server:
        assert "No space left" in fails(path, server)
        assert "COURSE_DATA_DIR" in fails(path.with_name("file") / "file.bin", server)
    with pytest.raises(DownloadError, match="No space left"):
        gunzip(path.with_name("file.gz"), path)
    assert not path.exists()


def test_the_sentence_says_first_what_to_do_and_names_hosts_alone(path):
    with Server(reply(b"", "503 Busy")) as busy:
        sentence = fails(path, busy, DEAD)
    advice = f"run this again, or put the file at {path} yourself"
    reasons = f"({busy.address}: a web page (503 Busy); 127.0.0.1:1: ConnectionError)."
    assert sentence.endswith(f"{advice} {reasons}")
    assert "http://" not in sentence


@pytest.mark.parametrize(
    ("error", "word", "not_word"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "free some disk space", "scanner"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "free some disk space", "scanner"),
        (PermissionError(errno.EACCES, "used by another process"), "virus scanner", "free some"),
        (OSError(errno.EROFS, "Read-only file system"), "COURSE_DATA_DIR", "free some"),
        (EOFError("ended"), "a.gz is damaged, so move it away", "free some"),
        (zlib.error("invalid code"), "a.gz is damaged, so move it away", "COURSE_DATA_DIR"),
    ],
)
def test_each_error_has_an_advice_of_its_own(tmp_path, monkeypatch, error, word, not_word):
    def fail(*_):
        raise error

    (tmp_path / "a.gz").write_bytes(b"")
    monkeypatch.setattr("gzip.decompress", fail)
    with pytest.raises(DownloadError, match=word) as caught:
        gunzip(tmp_path / "a.gz", tmp_path / "a")
    assert not_word not in str(caught.value)


def test_waiting_for_another_program_is_said_and_ends(path, monkeypatch, capsys):
    monkeypatch.setattr(module, "WAIT_SECONDS", 0.2)
    lock = FileLock(path.parent / ".download.lock")
    with lock:
        fails_again = f"end it, or delete {path.parent / '.download.lock'}"
        assert fails_again in fails(path, DEAD)
    printed = " ".join(capsys.readouterr().out.split())
    assert f"Another program downloads or unpacks in {path.parent}: waiting for it." in printed
    path.write_bytes(BODY)
    arrives(path, DEAD)
    assert "waiting" not in capsys.readouterr().out


@linux
@pytest.mark.filterwarnings("ignore:flock not supported")
@pytest.mark.parametrize("word", ["ENOSYS", "ENOLCK", "EOPNOTSUPP"])
def test_a_file_system_without_locks_is_no_endless_wait(path, monkeypatch, word):
    def flock(*_):
        raise OSError(getattr(errno, word), os.strerror(getattr(errno, word)))

    monkeypatch.setattr("fcntl.flock", flock)
    with Server(whole) as server:
        done = ThreadPoolExecutor().submit(get, path, server)
        assert done.exception(5) is None or isinstance(done.exception(), DownloadError)


def start_process(path, server):
    code = "from pathlib import Path\nfrom utils.machinery.downloads import download\n"
    code += f"download([{server.url!r}], Path({str(path)!r}), {MD5!r})"
    env = os.environ | {"TQDM_DISABLE": ""}
    return subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, env=env, stdout=-1, stderr=-1, text=True
    )


def test_two_processes_make_one_download_with_a_bar(path):
    def slow(server, send, first):
        time.sleep(0.5)
        send(reply(BODY))

    with Server(slow) as server:
        both = [start_process(path, server) for _ in range(2)]
        outs = [process.communicate(timeout=30) for process in both]
        assert [process.returncode for process in both] == [0, 0], outs
        assert len(server.requests) == 1
    assert path.read_bytes() == BODY
    assert sum("100%" in out and "100k/100k" in out for out, _ in outs) == 1


@linux
def test_a_killed_process_leaves_what_came(path):
    with Server(forever(dropped(30_000), b"", 9)) as server:
        process = start_process(path, server)
        end = time.monotonic() + 20
        while (
            not (part_of(path).exists() and part_of(path).stat().st_size) and time.monotonic() < end
        ):
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.communicate(timeout=20)
        assert not path.exists()
    there = part_of(path).stat().st_size
    with Server(whole) as server:
        arrives(path, server)
        assert server.ranges == [there]


# --- archives


def make_tar(archive, files=FILES):
    with tarfile.open(archive, "w:gz") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo("cifar-10-batches-py/" + name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def test_extract_tar_and_gunzip(tmp_path):
    archive, folder = tmp_path / "a.tar.gz", tmp_path / "data" / "any name"
    make_tar(archive)
    (part_of(folder) / "left by a killed program").mkdir(parents=True)
    assert extract_tar(archive, folder) == folder
    assert extract_tar(archive, folder) == folder  # is there
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == FILES
    zipped, file = tmp_path / "a.gz", tmp_path / "data" / "a"
    zipped.write_bytes(gzip.compress(BODY))
    assert gunzip(zipped, file) == gunzip(zipped, file) == file
    assert file.read_bytes() == BODY
    assert {entry.name for entry in folder.parent.iterdir()} <= {"any name", "a", ".download.lock"}


@pytest.mark.parametrize("unpack", [extract_tar, gunzip])
@pytest.mark.parametrize("damage", ["missing", "cut short", "text"])
def test_damaged_archives_leave_nothing(tmp_path, unpack, damage):
    archive, target = tmp_path / "a.tar.gz", tmp_path / "target"
    if damage != "missing":
        make_tar(archive)
        archive.write_bytes(archive.read_bytes()[:-2000] if damage == "cut short" else b"<html>")
    with pytest.raises(DownloadError, match="target"):
        unpack(archive, target)
    assert not target.exists()


@pytest.mark.skipif(not hasattr(tarfile, "data_filter"), reason="came with Python 3.11.4")
def test_a_tar_cannot_write_outside_its_folder(tmp_path):
    make_tar(tmp_path / "a.tar.gz", FILES | {"../../escaped": b"!"})
    with pytest.raises(DownloadError):
        extract_tar(tmp_path / "a.tar.gz", tmp_path / "in" / "folder")
    assert not list(tmp_path.rglob("escaped"))


def test_pythons_without_tar_filters_unpack_as_well(tmp_path, monkeypatch):
    """As Python 3.11.0 to 3.11.3, where extractall() has no argument of that name."""
    old = tarfile.TarFile.extractall

    def extractall(self, path=".", members=None, *, numeric_owner=False):
        return old(self, path, members, numeric_owner=numeric_owner)

    monkeypatch.setattr(tarfile.TarFile, "extractall", extractall)
    monkeypatch.delattr(tarfile, "data_filter", raising=False)
    make_tar(tmp_path / "a.tar.gz")
    folder = extract_tar(tmp_path / "a.tar.gz", tmp_path / "folder")
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == FILES
