"""One file from the first of several mirrors that delivers it: resumed, checked, with a clear error.

All mirrors hold the same bytes (the MD5 says so), so what one has sent is not lost when it fails: it stays in
NAME.part beside the file, even when the program is killed, and any mirror may add the rest.
"""

import gzip
import hashlib
import itertools
import os
import re
import shutil
import socket
import sys
import tarfile
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from urllib.parse import SplitResult, urlsplit

import requests
import urllib3
from filelock import FileLock, Timeout
from requests.utils import get_environ_proxies, select_proxy
from tqdm import tqdm

GOOD_SPEED = 200_000  # bytes per second: a mirror below it is left while another may be faster
MIN_SPEED = 5_000  # bytes per second: a mirror below it is left in any case
PAUSE = 2.0  # seconds from a round that failed to the next
CHUNK = 256 * 1024  # bytes read at a time, at most


class DownloadError(OSError):
    """A file could not be fetched or unpacked; the message is one sentence that says what to do."""


def download(
    urls: Sequence[str],
    path: Path,
    md5: str,
    *,
    size: int | None = None,
    tries: int = 3,
    connect_timeout: float = 5.0,
    stall_timeout: float = 15.0,
) -> Path:
    """Fetch the file with this MD5 (and `size` in bytes) to `path`, unless it is there; returns `path`.

    All mirrors are connected to at once, for `connect_timeout` seconds; those that answer are asked in order,
    in rounds. The first round leaves a mirror that sends less than GOOD_SPEED over `stall_timeout` seconds.
    Where all do, the network is slow: from then on MIN_SPEED is enough, and the fastest comes first. `tries`
    rounds that bring next to nothing end it. Raises DownloadError.
    """
    path = Path(path)
    part = path.with_name(path.name + ".part")
    try:
        if _has_md5(path, md5):
            return path
        path.parent.mkdir(parents=True, exist_ok=True)
        with _one_process_at_a_time(path.parent):
            if not _has_md5(path, md5):  # else another process has just fetched it
                _set_aside(path)
                if not _has_md5(part, md5):
                    bar = tqdm(desc=path.name, total=size, unit="B", unit_scale=True, file=sys.stdout)
                    with bar:
                        _Mirrors(urls, part, md5, size, stall_timeout, bar).fetch(tries, connect_timeout)
                part.replace(path)
    except (_MirrorError, ValueError) as error:
        raise DownloadError(
            f"{path.name} could not be downloaded ({error}): check the network connection and run this again, "
            f"or fetch {urls[-1]} in another way and put it at {path}."
        ) from None
    except OSError as error:
        raise _disk_error(path, error) from None
    return path


class _MirrorError(Exception):
    """Why a mirror did not deliver, in words that follow its name; `again`: is it worth another try?"""

    def __init__(self, reason: str, again: bool = True) -> None:
        super().__init__(reason)
        self.again = again


@dataclass
class _Mirrors:
    """The addresses of one file, and how each of them has done so far."""

    urls: Sequence[str]
    part: Path
    md5: str
    size: int | None  # bytes
    stall_timeout: float  # seconds
    bar: tqdm
    speeds: dict[str, float] = field(default_factory=dict)  # bytes per second when last asked
    reasons: dict[str, str] = field(default_factory=dict)  # why it did not deliver

    def fetch(self, tries: int, connect_timeout: float) -> None:
        """Ask the mirrors, round after round, until the part is right; _MirrorError if it never is."""
        left = self.connect(connect_timeout)
        slowest = GOOD_SPEED if len(left) > 1 else MIN_SPEED
        while left and tries > 0:
            before = _bytes_in(self.part)
            for url in list(left):
                try:
                    return self.fetch_from(url, slowest)
                except _MirrorError as error:
                    self.reasons[url] = str(error)
                    if not error.again:
                        left.remove(url)
            if _bytes_in(self.part) < before + MIN_SPEED * self.stall_timeout:
                tries -= 1
                time.sleep(PAUSE if left and tries else 0)
            left.sort(key=lambda url: -self.speeds.get(url, 0.0))
            slowest = MIN_SPEED
        names = {reason: [] for reason in self.reasons.values()}
        for url, reason in self.reasons.items():
            names[reason].append(_name(url))
        raise _MirrorError("; ".join(f"{', '.join(names[reason])} {reason}" for reason in names))

    def connect(self, timeout: float) -> list[str]:
        """The mirrors that take a connection; in the background, as a name look-up has no time limit."""
        attempts = {url: _in_background(_connect, url, timeout) for url in self.urls}
        futures.wait(attempts.values(), timeout)
        for url, attempt in attempts.items():
            try:
                with _network_errors("cannot be reached"):
                    attempt.result(0)
            except _MirrorError as error:
                self.reasons[url] = str(error)
        return [url for url in self.urls if url not in self.reasons]

    def fetch_from(self, url: str, slowest: float) -> None:
        """Complete the part from one mirror. A part that is whole but wrong is thrown away."""
        self.bar.set_postfix_str(_name(url))
        while True:
            from_the_start = _bytes_in(self.part) == 0
            self.receive(url, slowest)
            if _has_md5(self.part, self.md5):
                return
            self.part.unlink()
            if from_the_start:  # else what was there before may be at fault: once more, without it
                raise _MirrorError("sent a wrong file (by its MD5)", again=False)

    def receive(self, url: str, slowest: float) -> None:
        """Ask a mirror for what the part lacks at its end, and add it."""
        have = _bytes_in(self.part)
        with _ask(url, have, self.stall_timeout) as response:
            position, total = _range(response)  # of the bytes that come now
            if response.headers.get("Content-Type", "").startswith("text/html"):
                raise _MirrorError("sent a web page in place of the file", again=False)
            if self.size and total not in (self.size, None):
                raise _MirrorError(f"has a file of {total:,} bytes, not {self.size:,}", again=False)
            total = total or self.size
            if total is None or position > have:
                raise _MirrorError("does not say which bytes it sends", again=False)
            if have >= total:  # a part that is whole already would be the file
                self.part.unlink()
                have = 0
            self.bar.total = total
            self.bar.update(have - self.bar.n)
            start, came = time.monotonic(), 0
            with self.part.open("ab") as file:
                while position < total:
                    with _network_errors(f"broke off after {position:,} of {total:,} bytes"):
                        chunk = response.raw.read1(min(CHUNK, total - position), decode_content=False)
                    if not chunk:
                        raise _MirrorError(f"broke off after {position:,} of {total:,} bytes")
                    file.write(chunk[max(0, have - position) :])  # the beginning comes again without Range
                    position += len(chunk)
                    self.bar.update(max(0, position - self.bar.n))
                    came += len(chunk)
                    seconds = time.monotonic() - start
                    self.speeds[url] = came / max(seconds, 1.0)
                    if seconds > self.stall_timeout:
                        if came / seconds < slowest:
                            raise _MirrorError(f"sent only {came / seconds / 1000:.1f} kB per second")
                        start, came = time.monotonic(), 0


def _ask(url: str, have: int, stall_timeout: float) -> requests.Response:
    """The mirror's answer, with the bytes from number `have` on or with all of them."""
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with _network_errors("gave no answer"):
        asked = _in_background(requests.get, url, headers=headers, stream=True, timeout=stall_timeout)
        try:
            response = asked.result(stall_timeout)
        except futures.TimeoutError:
            asked.add_done_callback(lambda late: late.exception() or late.result().close())
            raise
    status = response.status_code
    if status in (200, 206):
        return response
    response.close()
    if status == 416 and have:  # no such bytes: ask for all
        return _ask(url, 0, stall_timeout)
    raise _MirrorError(f"answered {status} {response.reason}", again=status >= 500 or status in (408, 429))


def _range(response: requests.Response) -> tuple[int, int | None]:
    """(number of the first byte that comes, bytes in the whole file), as the answer's headers say."""
    if response.status_code == 200:
        length = response.headers.get("Content-Length", "")
        return 0, int(length) if length.isdecimal() else None
    match = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
    first, total = match.groups() if match else (sys.maxsize, "*")
    return int(first), None if total == "*" else int(total)


def _first_stop(url: str) -> SplitResult:
    """Where a request for `url` is sent: the proxy that the environment names for it, else its own host."""
    proxy = select_proxy(url, get_environ_proxies(url)) or url
    return urlsplit(proxy if "://" in proxy else f"http://{proxy}")


def _name(url: str) -> str:
    """A mirror's name in messages: its host, and the proxy on the way there (without its password)."""
    own, first = (address.netloc.rpartition("@")[2] for address in (urlsplit(url), _first_stop(url)))
    return own if own == first else f"{own} through the proxy {first}"


def _connect(url: str, timeout: float) -> None:
    stop = _first_stop(url)
    port = stop.port or (443 if stop.scheme == "https" else 80)
    socket.create_connection((stop.hostname, port), timeout).close()


def _in_background(function: Callable, *args, **kwargs) -> futures.Future:
    """Call a function in a thread of its own, which nothing has to wait for."""
    future = futures.Future()

    def work() -> None:
        try:
            future.set_result(function(*args, **kwargs))
        except Exception as error:
            future.set_exception(error)

    Thread(target=work, daemon=True).start()
    return future


@contextmanager
def _network_errors(what: str) -> Iterator[None]:
    """Turn every error of the network and its libraries into a _MirrorError."""
    try:
        yield
    except requests.exceptions.ProxyError:
        cause = "the proxy gives no connection"
    except (requests.exceptions.SSLError, urllib3.exceptions.SSLError):
        cause = "no secure connection: is the clock of this machine right?"
    except socket.gaierror:
        cause = "no such name"
    except (TimeoutError, futures.TimeoutError, requests.Timeout, urllib3.exceptions.TimeoutError):
        cause = "no answer in time"
    except requests.exceptions.TooManyRedirects:
        cause = "it redirects in a circle"
    except ValueError as error:  # an address that is none
        cause = str(error)
    except Exception as error:
        cause = getattr(error, "strerror", None) or "the connection was lost"
    else:
        return
    raise _MirrorError(f"{what} ({cause})")


def extract_tar(archive: Path, folder: Path) -> Path:
    """Unpack a .tar.gz so that `folder` is the one folder in it, all or nothing. Raises DownloadError."""

    def unpack(temporary: Path) -> Path:
        # Older Pythons have no filter and trust the archive: its MD5 is checked before.
        options = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
        with gzip.open(archive) as file, tarfile.open(fileobj=file, mode="r|") as tar:
            tar.extractall(temporary, **options)
            while file.read(CHUNK):  # to its end, where its checksum is
                pass
        entries = list(temporary.iterdir())
        return entries[0] if len(entries) == 1 and entries[0].is_dir() else temporary

    return _unpack(Path(archive), Path(folder), unpack)


def gunzip(archive: Path, path: Path) -> Path:
    """Unpack a .gz to the file `path`, all or nothing. Raises DownloadError."""

    def unpack(temporary: Path) -> Path:
        file = temporary / "file"
        with gzip.open(archive) as source, file.open("wb") as target:
            shutil.copyfileobj(source, target)
        return file

    return _unpack(Path(archive), Path(path), unpack)


def _unpack(archive: Path, target: Path, unpack: Callable[[Path], Path]) -> Path:
    """Let `unpack` fill a temporary folder beside `target`, and rename what it returns to `target`."""
    temporary = target.with_name(target.name + ".part")
    there = _identity(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _one_process_at_a_time(target.parent):
            if _identity(target) not in (None, there):
                return target  # another process has just made it
            shutil.rmtree(temporary, ignore_errors=True)  # left by a process that was killed
            temporary.mkdir()
            try:
                made = unpack(temporary)
                _set_aside(target)
                made.replace(target)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError):
        raise DownloadError(
            f"{archive} is damaged or no such archive: delete it and run this again."
        ) from None
    except OSError as error:
        raise _disk_error(target, error) from None
    return target


@contextmanager
def _one_process_at_a_time(folder: Path) -> Iterator[None]:
    lock = FileLock(folder / ".download.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        print(f"Waiting for another process that downloads or unpacks in {folder.name}.")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _set_aside(path: Path) -> None:
    """Rename what is at `path`, if anything, so that it is not lost."""
    if os.path.lexists(path):
        names = (path.with_name(f"{path.name}.old-{number}") for number in itertools.count(1))
        aside = next(name for name in names if not os.path.lexists(name))
        path.rename(aside)
        print(f"{path.name} is not what it should be: it is kept as {aside.name}.")


def _has_md5(path: Path, md5: str) -> bool:
    if not path.is_file():
        return False
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return digest.hexdigest() == md5


def _bytes_in(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _identity(path: Path) -> int | None:
    """A number that another file or folder of the same name does not have."""
    return path.stat().st_ino if path.exists() else None


def _disk_error(path: Path, error: OSError) -> DownloadError:
    return DownloadError(
        f"{path} could not be read or written ({error.strerror or error}): free some disk space, or set "
        "COURSE_DATA_DIR to a folder that can be written, and run this again."
    )
