"""Downloads from real HTTP servers on loopback, most of which misbehave."""

import contextlib
import gzip
import hashlib
import io
import os
import random
import re
import signal
import socket
import struct
import subprocess
import sys
import tarfile
import tempfile
import threading
import time
import tracemalloc
from pathlib import Path

import pytest

from utils import download as module
from utils.download import DownloadError, download, extract_tar, gunzip

ROOT = Path(__file__).parents[1]
BODY = random.Random(0).randbytes(100_000)
linux = pytest.mark.skipif(sys.platform != "linux", reason="uses what Linux has")


def md5_of(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


MD5 = md5_of(BODY)


@pytest.fixture(autouse=True)
def _no_proxy_and_no_pause(monkeypatch):
    for name in ("http", "https", "all", "no"):
        monkeypatch.delenv(f"{name}_proxy", raising=False)
        monkeypatch.delenv(f"{name}_proxy".upper(), raising=False)
    monkeypatch.setattr(module, "PAUSE", 0.0)


# --- a server that can be as bad as a test wants


class Server:
    """Serves `body` under any path; each request is answered by the next of `behaviours`, the last one again."""

    def __init__(self, *behaviours, body=BODY, greeting=b""):
        self.body, self.behaviours, self.greeting = body, list(behaviours) or [whole], greeting
        self.ranges: list[str | None] = []  # the Range header of each request
        self.heads: list[bytes] = []
        self.sent = 0  # bytes of answers
        self.stopping = threading.Event()
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.socket.getsockname()[1]}/file.bin"
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stopping.set()
        socket.create_connection(self.socket.getsockname()).close()  # wakes accept()
        self.thread.join()
        self.socket.close()

    def _accept(self):
        while True:
            connection, _ = self.socket.accept()
            if self.stopping.is_set():
                return connection.close()
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        with connection, contextlib.suppress(OSError):
            connection.sendall(self.greeting)  # what no HTTP server would do
            head = b""
            while b"\r\n\r\n" not in head:
                data = connection.recv(65536)
                if not data:
                    return  # a connection that was only tried
                head += data
            found = re.search(rb"\r\nRange: (bytes=(\d+)-)\r\n", head)
            self.heads.append(head)
            self.ranges.append(found[1].decode() if found else None)
            behaviour = self.behaviours.pop(0) if len(self.behaviours) > 1 else self.behaviours[0]
            behaviour(self, connection, int(found[2]) if found else None)

    def send(self, connection, data):
        connection.sendall(data)
        self.sent += len(data)


def answer(body, first=None, status=None, **headers):
    """A whole HTTP answer; with `first` a 206 that starts at this byte."""
    lines = {"Content-Type": "application/gzip"}
    if first is None:
        status = status or "200 OK"
    elif first >= len(body):
        status, lines["Content-Range"], body = "416 Range Not Satisfiable", f"bytes */{len(body)}", b""
    else:
        status = status or "206 Partial Content"
        lines["Content-Range"] = f"bytes {first}-{len(body) - 1}/{len(body)}"
        body = body[first:]
    lines |= {"Content-Length": len(body), "Connection": "close"}
    lines |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value is not None)
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body


def whole(server, connection, first):
    server.send(connection, answer(server.body, first))


def without_range(server, connection, first):
    server.send(connection, answer(server.body))


def dropped(count, behaviour=None, reset=False, ranges=True):
    """Only the first `count` bytes of the answer, head and all, and then the connection is gone."""

    def behave(server, connection, first):
        server.send(connection, answer(server.body, first if ranges else None)[:count])
        if reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return behave


def fixed(data):
    return lambda server, connection, first: server.send(connection, data)


def silent(server, connection, first):
    server.stopping.wait(60)


def drip(seconds, at_once=1, burst=0):
    """The answer, `at_once` bytes every so many seconds, after a `burst` of bytes."""

    def behave(server, connection, first):
        data = answer(server.body, first)
        server.send(connection, data[:burst])
        for start in range(burst, len(data), at_once):
            if server.stopping.wait(seconds):
                return
            server.send(connection, data[start : start + at_once])

    return behave


HEAD = len(answer(BODY)) - len(BODY)
NOT_FOUND = fixed(answer(b"no such file", status="404 Not Found"))
BROKEN = fixed(answer(b"oops", status="500 Internal Server Error"))
HTML = fixed(answer(b"<html>Please sign in</html>", Content_Type="text/html; charset=utf-8"))
WRONG = fixed(answer(bytes(len(BODY))))
SHORT = fixed(answer(BODY[:-1]))


@contextlib.contextmanager
def servers(*behaviours):
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(Server(behaviour)) for behaviour in behaviours]


def get(path, *mirrors, **options):
    options = {"size": len(BODY), "stall_timeout": 10} | options
    urls = [mirror if isinstance(mirror, str) else mirror.url for mirror in mirrors]
    return download(urls, path, options.pop("md5", MD5), **options)


def arrives(path, *mirrors, **options):
    assert get(path, *mirrors, **options) == path
    assert path.read_bytes() == BODY
    assert not path.with_name(path.name + ".part").exists()


def fails(path, *mirrors, **options):
    """The one sentence of a download that fails; nothing may be under the file's name."""
    with pytest.raises(DownloadError) as caught:
        get(path, *mirrors, **options)
    return sentence(caught.value, path)


def sentence(error, path):
    text = str(error)
    assert not path.exists()
    assert str(path) in text
    assert re.fullmatch(r"[^\n]{60,600}\.", text)
    assert "Traceback" not in text
    assert "object at 0x" not in text
    return text


@pytest.fixture
def path(tmp_path):
    return tmp_path / "data" / "file.bin"  # the folder is made by download()


# --- the plain case, and files that are there


def test_fetches_the_file(path):
    with Server() as server:
        arrives(path, server)
    assert server.ranges == [None]
    assert sorted(file.name for file in path.parent.iterdir()) in (
        [".download.lock", "file.bin"],
        ["file.bin"],
    )


@pytest.mark.parametrize("size", [None, len(BODY)])
def test_size_is_optional_and_paths_may_be_strings(path, size):
    with Server() as server:
        assert download([server.url], str(path), MD5, size=size) == path
    assert path.read_bytes() == BODY


def test_a_right_file_needs_no_network_and_no_writing(path):
    path.parent.mkdir()
    path.write_bytes(BODY)
    arrives(path, "http://127.0.0.1:1/file.bin")
    assert [file.name for file in path.parent.iterdir()] == ["file.bin"]


def test_a_wrong_file_is_kept_under_another_name(path, capsys):
    path.parent.mkdir()
    for number, old in enumerate((b"my own notes", b"and more"), start=1):
        path.write_bytes(old)
        with Server() as server:
            arrives(path, server)
        assert path.with_name(f"file.bin.old-{number}").read_bytes() == old
        assert f"kept as file.bin.old-{number}" in capsys.readouterr().out


def test_a_wrong_file_is_kept_when_the_download_fails_too(path):
    path.parent.mkdir()
    path.write_bytes(b"my own notes")
    fails(path, "http://127.0.0.1:1/file.bin")
    assert path.with_name("file.bin.old-1").read_bytes() == b"my own notes"


def test_a_folder_under_the_name_is_kept(path):
    (path / "inside").mkdir(parents=True)
    with Server() as server:
        arrives(path, server)
    assert path.with_name("file.bin.old-1").joinpath("inside").is_dir()


def test_bytes_come_as_they_are_whatever_the_encoding_header_says(path):
    with Server(fixed(answer(BODY, Content_Encoding="gzip"))) as server:
        arrives(path, server)
    assert b"accept-encoding: identity" in server.heads[0].lower()


def test_follows_redirects(path):
    with Server() as server, Server(fixed(answer(b"", status="301 Moved", Location=server.url))) as first:
        arrives(path, first)


# --- resuming


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("ranges", [True, False])
def test_dropped_at_any_byte(tmp_path, ranges, reset):
    after = whole if ranges else without_range
    counts = [*range(0, HEAD, 40), HEAD - 1, HEAD, HEAD + 1, HEAD + 7919, HEAD + len(BODY) // 2]
    for count in [*counts, HEAD + len(BODY) - 1]:
        path = tmp_path / f"{count}.bin"
        with Server(dropped(count, ranges=ranges, reset=reset), after) as server:
            arrives(path, server)
        assert len(server.ranges) == 2
        if ranges and not reset:  # a reset may lose bytes that were on their way
            there = count - HEAD
            assert server.ranges == [None, f"bytes={there}-" if there > 0 else None]


def test_dropped_many_times_goes_on_as_long_as_bytes_come(path, monkeypatch):
    monkeypatch.setattr(module, "MIN_SPEED", 1000)
    with Server(*[dropped(HEAD + 9000)] * 11, whole) as server:
        arrives(path, server, stall_timeout=5)
    assert len(server.ranges) == 12


def test_dropped_for_ever_ends(path):
    with Server(dropped(HEAD)) as server:
        assert "broke off after 0 of 100,000 bytes" in fails(path, server)
    assert len(server.ranges) == 3


def test_what_one_mirror_sent_is_completed_by_another(path):
    with servers(dropped(HEAD + 40_000), whole) as (first, second):
        arrives(path, first, second)
    assert (first.ranges, second.ranges) == ([None], ["bytes=40000-"])


def test_a_mirror_without_range_does_not_lose_what_is_there(path):
    first, second = (
        Server(dropped(HEAD + 60_000), NOT_FOUND),
        Server(dropped(HEAD + 30_000, ranges=False), NOT_FOUND),
    )
    with first, second:
        fails(path, first, second)
    assert path.with_name("file.bin.part").read_bytes() == BODY[:60_000]
    with Server(without_range) as server:
        arrives(path, server)


def test_a_part_that_is_whole_needs_no_mirror(path):
    path.parent.mkdir()
    path.with_name("file.bin.part").write_bytes(BODY)
    arrives(path, "http://127.0.0.1:1/file.bin")


@pytest.mark.parametrize("part", [bytes(500), bytes(len(BODY)), bytes(len(BODY) + 5), BODY + b"more"])
@pytest.mark.parametrize("size", [None, len(BODY)])
@pytest.mark.parametrize("behaviour", [whole, without_range])
def test_a_wrong_part_is_thrown_away_and_the_same_mirror_asked_again(path, part, size, behaviour):
    path.parent.mkdir()
    path.with_name("file.bin.part").write_bytes(part)
    with Server(behaviour) as server:  # whole() answers 416 when it has no such bytes
        arrives(path, server, size=size, tries=1)


def test_416_for_every_range_falls_back_to_the_whole_file(path):
    def refuse(server, connection, first):
        server.send(connection, answer(BODY, None if first is None else len(BODY)))

    path.parent.mkdir()
    path.with_name("file.bin.part").write_bytes(BODY[:700])
    with Server(refuse) as server:
        arrives(path, server)
    assert server.ranges == ["bytes=700-", None]


@pytest.mark.parametrize(
    ("content_range", "said"),
    [
        ("bytes 900-99999/100000", "does not say which bytes"),
        ("bytes 700-99999/*", None),
        ("bytes 0-99999/100000", "sent a wrong file"),  # these are not the first bytes
        ("bytes 700-99999/100001", "has a file of 100,001 bytes"),
        ("nonsense", "does not say which bytes"),
        (None, "does not say which bytes"),
    ],
)
def test_content_range_is_checked(path, content_range, said):
    data = answer(BODY, 700, Content_Range=content_range)
    path.parent.mkdir()
    part = path.with_name("file.bin.part")
    part.write_bytes(BODY[:700])
    again = fixed(answer(bytes(len(BODY)))) if said == "sent a wrong file" else fixed(data)
    with Server(fixed(data), again) as server:
        if said is None:
            arrives(path, server)
        else:
            assert said in fails(path, server)


def test_a_range_that_ends_early_is_asked_for_again(path):
    def at_most_30000(server, connection, first):
        first = first or 0
        last = min(first + 30_000, len(BODY)) - 1
        data = f"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {first}-{last}/{len(BODY)}\r\n"
        data += f"Content-Length: {last + 1 - first}\r\nConnection: close\r\n\r\n"
        server.send(connection, data.encode() + BODY[first : last + 1])

    with Server(at_most_30000) as server:
        arrives(path, server, stall_timeout=5)
    assert server.ranges == [None, "bytes=30000-", "bytes=60000-", "bytes=90000-"]


def test_chunked_answers(path):
    pieces = b"".join(
        b"%x\r\n%s\r\n" % (len(BODY[i : i + 7000]), BODY[i : i + 7000]) for i in range(0, 100_000, 7000)
    )
    head = answer(b"", Content_Length=None, Transfer_Encoding="chunked")
    with Server(fixed(head + pieces[:50_000]), fixed(head + pieces + b"0\r\n\r\n")) as server:
        arrives(path, server)
    with Server(fixed(head + pieces + b"0\r\n\r\n")) as server:  # how long it is, nobody says
        assert "does not say which bytes" in fails(path.with_name("other.bin"), server, size=None)


# --- mirrors that do not have the file


@pytest.mark.parametrize(
    ("behaviour", "said", "asked"),
    [
        (NOT_FOUND, "answered 404 Not Found", 1),
        (BROKEN, "answered 500 Internal Server Error", 3),
        (HTML, "sent a web page in place of the file", 1),
        (WRONG, "sent a wrong file", 1),
        (SHORT, "has a file of 99,999 bytes, not 100,000", 1),
        (fixed(answer(BODY + b"x")), "has a file of 100,001 bytes", 1),
        (fixed(b"SSH-2.0-OpenSSH_9.6\r\n"), "gave no answer", 3),
        (fixed(answer(BODY, Content_Length="many")), None, 1),
        (
            fixed(answer(b"", status="302 Found", Location="/again")),
            "gave no answer (it redirects in a circle)",
            3,
        ),
        (fixed(answer(b"", status="302 Found", Location="file:///etc/passwd")), "gave no answer", 3),
        (fixed(answer(b"", status="204 No Content")), "answered 204", 1),
    ],
)
def test_a_bad_mirror_is_left_for_a_good_one(path, behaviour, said, asked):
    with servers(behaviour, whole) as mirrors:
        arrives(path, *mirrors)
    if said:
        other = path.with_name("other.bin")
        with Server(behaviour) as server:
            text = fails(other, server)
        assert f"{server.url[7:-9]} {said}" in text
        requests_of_one_try = 31 if "circle" in said else 1
        assert len(server.ranges) == asked * requests_of_one_try


def test_every_mirror_is_named_with_its_reason(path):
    with servers(NOT_FOUND, BROKEN, NOT_FOUND, HTML) as mirrors:
        text = fails(path, *mirrors)
    hosts = [mirror.url[7:-9] for mirror in mirrors]
    assert f"({hosts[0]}, {hosts[2]} answered 404 Not Found; {hosts[1]} answered 500" in text
    assert f"; {hosts[3]} sent a web page in place of the file): check" in text
    assert f"fetch {mirrors[-1].url} in another way and put it at {path}." in text
    assert [len(mirror.ranges) for mirror in mirrors] == [1, 3, 1, 1]


def test_bytes_of_a_wrong_file_do_not_spoil_a_good_mirror(path):
    def bad(server, connection, first):
        server.send(connection, answer(bytes(len(BODY)), first)[: HEAD + 5000])

    with servers(bad, whole) as mirrors:
        arrives(path, *mirrors)
    assert mirrors[1].ranges == ["bytes=5000-", None]


# --- silence and slowness


def test_nothing_for_minutes(path):
    start = time.monotonic()
    with servers(silent, drip(9, burst=HEAD + 100), whole) as mirrors:
        arrives(path, *mirrors, stall_timeout=0.5)
        text = fails(path.with_name("2"), *mirrors[:2], stall_timeout=0.4)
    assert "gave no answer (no answer in time)" in text
    assert re.search(r"broke off after \d+ of 100,000 bytes \(no answer in time\)", text)
    assert time.monotonic() - start < 10


def test_a_trickle_of_bytes_is_no_download(path):
    start = time.monotonic()
    body, head = drip(0.02, burst=HEAD + 200), drip(0.02)  # of one of the two
    with servers(body, head, whole) as mirrors:
        arrives(path, *mirrors, stall_timeout=0.5)
        text = fails(path.with_name("2"), *mirrors[:2], stall_timeout=0.4)
    assert re.search(r"sent only \d\.\d kB per second", text)
    assert "gave no answer" in text
    assert time.monotonic() - start < 10


def test_a_slow_mirror_is_left_while_there_is_a_faster_one(path):
    with servers(drip(0.05, 1000, burst=HEAD), whole) as (slow, fast):
        arrives(path, slow, fast, stall_timeout=0.5)
    assert len(slow.ranges) == 1
    assert int(fast.ranges[0][6:-1]) >= 1000  # and what it sent is not lost


def test_a_slow_network_still_delivers_and_from_its_fastest_mirror(path):
    with servers(drip(0.05, 500, burst=HEAD), drip(0.05, 3000, burst=HEAD)) as (slow, less_slow):
        arrives(path, slow, less_slow, stall_timeout=0.7, tries=1)  # 10 and 60 kB per second
    assert (len(slow.ranges), len(less_slow.ranges)) == (1, 2)


def test_one_mirror_alone_may_be_slow(path):
    with Server(drip(0.05, 4000, burst=HEAD)) as server:
        arrives(path, server, stall_timeout=0.9)
    assert len(server.ranges) == 1


# --- no network, proxies


def test_without_a_network_one_knows_soon(path, monkeypatch):
    start = time.monotonic()
    names = [f"http://mirror{number}.invalid/file.bin" for number in range(7)]
    never = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: never.wait(30))  # a DNS that is silent
    with pytest.raises(DownloadError) as caught:
        download(names, path, MD5)  # with the time limits that a reader has
    text = sentence(caught.value, path)
    assert "mirror0.invalid, mirror1.invalid" in text
    assert "mirror6.invalid cannot be reached (no answer in time)" in text
    assert time.monotonic() - start < 15
    never.set()


def test_refused_and_unknown_hosts(path, monkeypatch):
    def no_such_name(*args, **kwargs):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    assert "cannot be reached (Connection refused)" in fails(path, "http://127.0.0.1:1/file.bin")
    monkeypatch.setattr(socket, "getaddrinfo", no_such_name)
    text = fails(path, "https://mirror.invalid/file.bin", "http://127.0.0.1:99999/file.bin")
    assert "mirror.invalid cannot be reached (no such name)" in text


@linux
def test_a_host_that_swallows_connections(path):
    start = time.monotonic()
    with contextlib.ExitStack() as stack:
        full = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(3):  # its queue is full: the next one waits for ever
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}/file.bin"
        assert "cannot be reached (no answer in time)" in fails(
            path, url, url + "2", url + "3", connect_timeout=0.6
        )
        server = stack.enter_context(Server())
        arrives(path, url, server, connect_timeout=0.6)
    assert time.monotonic() - start < 10


def test_a_mirror_that_cannot_be_reached_is_skipped(path):
    with Server() as server:
        arrives(path, "http://127.0.0.1:1/file.bin", server)


def test_a_proxy_is_used(path, monkeypatch):
    with Server() as server:
        monkeypatch.setenv("HTTP_PROXY", server.url)
        arrives(path, "http://mirror.invalid/file.bin")
    assert server.heads[0].startswith(b"GET http://mirror.invalid/file.bin HTTP/1.1")


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("proxy", ["http://user:secret@127.0.0.1:1", "127.0.0.1:1"])
def test_a_dead_proxy_is_named(path, monkeypatch, scheme, proxy):
    monkeypatch.setenv(f"{scheme}_proxy", proxy)
    text = fails(path, f"{scheme}://mirror.invalid/file.bin")
    assert "mirror.invalid through the proxy 127.0.0.1:1 cannot be reached (Connection refused)" in text
    assert "secret" not in text


def test_a_proxy_that_refuses_is_named(path, monkeypatch):
    denied = fixed(answer(b"", status="407 Proxy Authentication Required"))
    with Server(denied) as server:
        monkeypatch.setenv("HTTP_PROXY", server.url)
        monkeypatch.setenv("HTTPS_PROXY", server.url)
        for scheme, said in (
            ("http", "answered 407"),
            ("https", "gave no answer (the proxy gives no connection)"),
        ):
            text = fails(path, f"{scheme}://mirror.invalid/file.bin")
            assert f"mirror.invalid through the proxy {server.url[7:-9]} {said}" in text


@pytest.mark.parametrize(
    "proxy", ["http://127.0.0.1:port", "http://", "http://[::1", "gopher://127.0.0.1:1", "://"]
)
def test_a_proxy_variable_that_is_no_address(path, monkeypatch, proxy):
    monkeypatch.setenv("HTTP_PROXY", proxy)
    fails(path, "http://mirror.invalid/file.bin")


def test_no_proxy_goes_past_a_dead_proxy(path, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Server() as server:
        arrives(path, server)


def test_a_certificate_file_that_is_missing(path, monkeypatch):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", "/nowhere/certificates.pem")
    with Server() as server:
        assert "gave no answer" in fails(path, server.url.replace("http", "https"))


def test_a_server_that_cannot_speak_https(path):
    with Server(silent) as server:
        text = fails(path, server.url.replace("http", "https"), stall_timeout=0.3)
    assert "gave no answer (no answer in time)" in text
    with Server(greeting=b"HTTP/1.1 400 Bad Request\r\n\r\n") as server:
        assert "gave no answer (no secure connection" in fails(path, server.url.replace("http", "https"))


# --- disks


@linux
def test_a_full_disk(path):
    path.parent.mkdir()
    path.with_name("file.bin.part").symlink_to("/dev/full")
    with Server() as server:
        assert "(No space left on device): free some disk space" in fails(path, server)


RUN = """
import sys
from utils import download as module
module.PAUSE = 0.0
urls, path, md5, size = sys.argv[1].split(), sys.argv[2], sys.argv[3], int(sys.argv[4])
try:
    module.download(urls, path, md5, size=size, **eval(sys.argv[5]))
except module.DownloadError as error:
    sys.exit(f"DownloadError: {error}")
"""


def start_process(path, *mirrors, before="", bar=True, **options):
    """download() in a process of its own."""
    urls = " ".join(mirror.url for mirror in mirrors)
    arguments = [urls, str(path), MD5, str(len(BODY)), repr(options)]
    return subprocess.Popen(
        [sys.executable, "-c", before + RUN, *arguments],
        cwd=ROOT,
        env=os.environ | {"TQDM_DISABLE": "" if bar else "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@linux
def test_a_limit_on_file_size_and_then_a_second_try(path):
    limit = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))\n"
    with Server() as server:
        out, error = start_process(path, server, before=limit).communicate(timeout=20)
        assert error.startswith(f"DownloadError: {path} could not be read or written (File too large): free")
        assert "Traceback" not in error
        assert not path.exists()
        arrives(path, server)
    assert server.ranges == [None, "bytes=30000-"]


@linux
def test_a_disk_that_is_really_full(tmp_path):
    folder = tmp_path / "small disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("may not mount a small disk")
    try:
        with Server() as server:
            assert "No space left on device" in fails(folder / "file.bin", server)
            subprocess.run(["mount", "-o", "remount,size=1m", str(folder)], check=True)
            arrives(folder / "file.bin", server)
        assert int(server.ranges[1][6:-1]) > 10_000
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@contextlib.contextmanager
def ordinary_user():
    """Permissions do not bind the superuser, so be somebody else for a while."""
    if os.geteuid():
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


@linux
def test_a_folder_that_cannot_be_written():
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "right.bin").write_bytes(BODY)
        folder.chmod(0o555)
        with Server() as server, ordinary_user():
            assert "(Permission denied)" in fails(folder / "file.bin", server)
            assert "COURSE_DATA_DIR" in fails(folder / "new folder" / "file.bin", server)
            arrives(folder / "right.bin", server)  # a file that is there can be used
        assert [file.name for file in folder.iterdir()] == ["right.bin"]


def test_a_folder_that_is_a_file(path):
    path.parent.write_bytes(b"")
    with Server() as server:
        assert "could not be read or written" in fails(path, server)


# --- more than one process


def test_two_processes_make_one_download(path):
    with Server(drip(0.1, 10_000, burst=HEAD)) as server:
        both = [start_process(path, server) for _ in range(2)]
        outs = [process.communicate(timeout=30) for process in both]
        assert [process.returncode for process in both] == [0, 0], outs
        assert path.read_bytes() == BODY
        assert len(server.ranges) == 1
        assert sum("Waiting for another process" in out for out, _ in outs) == 1


def test_a_killed_process_and_a_second_try(path):
    part = path.with_name("file.bin.part")
    with Server(drip(0.05, 1000, burst=HEAD + 30_000)) as server:
        process = start_process(path, server)
        end = time.monotonic() + 20
        while not (part.exists() and part.stat().st_size > 30_000) and time.monotonic() < end:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL if hasattr(signal, "SIGKILL") else signal.SIGTERM)
        process.communicate(timeout=20)
        assert not path.exists()
        there = part.stat().st_size
        assert 30_000 < there < len(BODY)
        server.behaviours[:] = [whole]
        arrives(path, server)
    assert server.ranges == [None, f"bytes={there}-"]


def test_an_interrupt_keeps_what_came_and_frees_the_lock(path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    with Server() as server:
        with monkeypatch.context() as patch:
            patch.setattr(module, "_has_md5", lambda path, md5: interrupt() if path.exists() else False)
            with pytest.raises(KeyboardInterrupt):
                get(path, server)
        arrives(path, server)
    assert len(server.ranges) == 1


# --- the bar, and memory


def test_a_progress_bar_on_standard_output(path):
    with servers(dropped(HEAD + 50_000), whole) as mirrors:
        out, error = start_process(path, *mirrors).communicate(timeout=20)
    assert "file.bin:   0%" in out
    assert re.search(r"file\.bin: 100%.* 100k/100k .*" + mirrors[1].url[7:-9], out)
    assert error == ""


def test_the_bar_can_be_switched_off(path):
    with Server() as server:
        assert start_process(path, server, bar=False).communicate(timeout=20) == ("", "")
    assert path.read_bytes() == BODY


def test_memory_does_not_grow_with_the_file(tmp_path):
    peaks = []
    for megabytes in (4, 64):
        body = bytes(megabytes * 2**20)
        path = tmp_path / f"{megabytes}.bin"
        with Server(fixed(answer(body))) as server:
            tracemalloc.start()
            get(path, server, md5=md5_of(body), size=len(body), stall_timeout=15)
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    assert peaks[1] < peaks[0] + 2**20 < 8 * 2**20


# --- archives


def make_tar(archive, files, top="cifar-10-batches-py/"):
    with tarfile.open(archive, "w:gz") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(top + name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


FILES = {"batches.meta": b"names", "data_batch_1": BODY}


def contents(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_extract_tar(tmp_path):
    archive, folder = tmp_path / "a.tar.gz", tmp_path / "data" / "any name"
    make_tar(archive, FILES)
    assert extract_tar(archive, folder) == folder
    assert contents(folder) == FILES
    make_tar(archive, FILES, top="")  # no folder in it: `folder` is that folder
    extract_tar(archive, folder.with_name("2"))
    assert contents(folder.with_name("2")) == FILES
    assert {file.name for file in folder.parent.iterdir()} <= {"any name", "2", ".download.lock"}


def test_extract_tar_and_gunzip_keep_what_was_there(tmp_path):
    archive, folder = tmp_path / "a.tar.gz", tmp_path / "folder"
    make_tar(archive, FILES)
    folder.mkdir()
    (folder / "batches.meta").write_bytes(b"mine")
    extract_tar(archive, folder)
    assert contents(folder) == FILES
    assert contents(tmp_path / "folder.old-1") == {"batches.meta": b"mine"}

    zipped, file = tmp_path / "a.gz", tmp_path / "a"
    zipped.write_bytes(gzip.compress(BODY))
    file.write_bytes(b"mine")
    assert gunzip(zipped, file) == file
    assert file.read_bytes() == BODY
    assert (tmp_path / "a.old-1").read_bytes() == b"mine"


@pytest.mark.parametrize("unpack", [extract_tar, gunzip])
@pytest.mark.parametrize("damage", ["truncated", "text", "empty", "bytes", "zip of text"])
def test_damaged_archives(tmp_path, unpack, damage):
    archive, target = tmp_path / "a.tar.gz", tmp_path / "target"
    make_tar(archive, FILES)
    good = archive.read_bytes()
    flipped = bytearray(good)
    flipped[len(good) // 2] ^= 255
    bad = {
        "truncated": good[:-2000],
        "text": b"<html>",
        "empty": b"",
        "bytes": bytes(flipped),
        "zip of text": gzip.compress(b"text"),
    }[damage]
    archive.write_bytes(bad)
    if unpack is gunzip and damage in ("empty", "zip of text"):
        assert unpack(archive, target) == target  # gzip takes both
        return
    with pytest.raises(DownloadError, match=r"a\.tar\.gz is damaged or .*: delete it and run this again\.$"):
        unpack(archive, target)
    assert {file.name for file in tmp_path.iterdir()} <= {"a.tar.gz", ".download.lock"}


@pytest.mark.skipif(not hasattr(tarfile, "data_filter"), reason="this Python has no filter")
def test_a_tar_cannot_write_outside_its_folder(tmp_path):
    archive = tmp_path / "in" / "a.tar.gz"
    archive.parent.mkdir()
    make_tar(archive, FILES | {"../../../escaped": b"!"})
    with pytest.raises(DownloadError, match="is damaged"):
        extract_tar(archive, tmp_path / "in" / "folder")
    assert [file.name for file in tmp_path.rglob("escaped")] == []


def test_a_missing_archive_and_a_folder_that_cannot_be_made(tmp_path):
    with pytest.raises(DownloadError, match="No such file"):
        extract_tar(tmp_path / "none.tar.gz", tmp_path / "folder")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DownloadError, match="could not be read or written"):
        gunzip(tmp_path / "none.gz", tmp_path / "file" / "a")


@linux
def test_a_full_disk_while_unpacking_leaves_nothing(tmp_path):
    archive, folder = tmp_path / "a.tar.gz", tmp_path / "folder"
    make_tar(archive, {"big": BODY})
    code = (
        "import resource, sys\nfrom utils.download import extract_tar\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))\n"
        "extract_tar(sys.argv[1], sys.argv[2])"
    )
    command = [sys.executable, "-c", code, str(archive), str(folder)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert "DownloadError: " in result.stderr
    assert "free some disk space" in result.stderr
    assert {file.name for file in tmp_path.iterdir()} <= {"a.tar.gz", ".download.lock"}


@linux
def test_a_process_killed_while_unpacking(tmp_path):
    archive, folder = tmp_path / "a.tar.gz", tmp_path / "folder"
    make_tar(archive, FILES)
    code = (
        "import os, sys\nfrom utils import download\n"
        "def kill(made):\n    os.kill(os.getpid(), 9)\n"
        "download._set_aside = kill\n"
        "download.extract_tar(sys.argv[1], sys.argv[2])"
    )
    command = [sys.executable, "-c", code, str(archive), str(folder)]
    assert subprocess.run(command, cwd=ROOT).returncode == -signal.SIGKILL
    assert not folder.exists()
    assert (tmp_path / "folder.part").exists()
    extract_tar(archive, folder)
    assert contents(folder) == FILES
    assert not (tmp_path / "folder.part").exists()


def test_two_threads_unpack_once(tmp_path, monkeypatch, capsys):
    archive, folder = tmp_path / "a.tar.gz", tmp_path / "folder"
    make_tar(archive, FILES)
    ready = threading.Barrier(2)
    identity = module._identity

    looks = threading.local()

    def both_look_first(path):
        if not hasattr(looks, "done"):
            looks.done = True
            found = identity(path)
            ready.wait(10)
            return found
        return identity(path)

    monkeypatch.setattr(module, "_identity", both_look_first)
    threads = [threading.Thread(target=extract_tar, args=(archive, folder)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert contents(folder) == FILES
    assert not (tmp_path / "folder.old-1").exists()


def test_unpacking_takes_little_memory(tmp_path):
    archive, zipped = tmp_path / "a.tar.gz", tmp_path / "a.gz"
    make_tar(archive, {"zeros": bytes(32 * 2**20)})
    zipped.write_bytes(gzip.compress(bytes(32 * 2**20)))
    tracemalloc.start()
    extract_tar(archive, tmp_path / "folder")
    gunzip(zipped, tmp_path / "file")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (tmp_path / "file").stat().st_size == 32 * 2**20
    assert peak < 4 * 2**20
