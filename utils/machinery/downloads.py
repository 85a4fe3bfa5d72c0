"""One file from the first of several mirrors that delivers it: resumed, checked, unpacked."""

import errno
import gzip
import hashlib
import shutil
import sys
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import requests
from filelock import FileLock, Timeout
from tqdm import tqdm
from urllib3.exceptions import HTTPError

from utils.machinery.printing import print_lines

TIMEOUT = (5, 15)  # seconds: to connect, and without a byte
WAIT_SECONDS = 3600.0  # for another program's download
DAMAGE = (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, ValueError)


class DataError(RuntimeError):
    """A data set cannot be had or read; the sentence says what to do."""


class DownloadError(DataError, OSError):
    """A file could not be fetched or unpacked; the message is one sentence that says what to do."""


def download(urls: Sequence[str], path: Path, md5: str, size: int | None = None) -> Path:
    """Fetch the file with this MD5 (`size` in bytes) to `path`, unless it is there.

    Raises DownloadError.
    """
    with _alone(path) as part:
        if has_md5(path, md5):
            return path
        reasons: dict[str, str] = {}
        with tqdm(desc=path.name, total=size, unit="B", unit_scale=True, file=sys.stdout) as bar:
            for url in [*urls, *urls]:  # each may have a second try
                reason = _fetch(url, part, md5, bar)
                if reason is None:
                    return part.replace(path)
                reasons[url] = reason
    why = "; ".join(f"{_host(url)}: {reason}" for url, reason in reasons.items())
    raise DownloadError(
        f"{path.name} could not be downloaded: check the network connection and run this again, "
        f"or put the file at {path} yourself ({why})."
    )


def _fetch(url: str, part: Path, md5: str, bar: tqdm) -> str | None:
    """Ask one mirror for what `part` lacks; None if the file is whole then, else why it is not."""
    try:
        # It is whole already where a program was killed just before the last step.
        if not has_md5(part, md5):
            _append(url, part, bar)
        if has_md5(part, md5):
            return None
        part.unlink(missing_ok=True)
        return "not the right file"
    except ValueError as error:
        return str(error)
    except (requests.RequestException, HTTPError) as error:
        return type(error).__name__


def _append(url: str, part: Path, bar: tqdm) -> None:
    """Ask a mirror for the bytes that `part` lacks at its end, and add them.

    ValueError if it has none.
    """
    have = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
        if response.status_code == 416:  # no more bytes: the MD5 tells whether these are right
            return
        is_page = "html" in response.headers.get("Content-Type", "")
        if response.status_code not in (200, 206) or is_page:
            raise ValueError(f"a web page ({response.status_code} {response.reason})")
        with part.open("ab" if response.status_code == 206 else "wb") as file:
            bar.n = file.tell()
            bar.total = bar.total or bar.n + int(response.headers.get("Content-Length", 0))
            while chunk := response.raw.read1(2**16, decode_content=False):  # a .gz stays one
                bar.update(file.write(chunk))


def _host(url: str) -> str:
    try:
        return urlsplit(url).netloc
    except ValueError:
        return url


def has_md5(path: Path, md5: str) -> bool:
    """Whether the file is there and whole."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False))
    return digest.hexdigest() == md5


def extract_tar(archive: Path, folder: Path) -> Path:
    """Unpack a .tar.gz so that `folder` is the one folder in it, unless it is there.

    Look at the archive's MD5 before: Pythons before 3.11.4 have no filter against paths that lead
    out of the folder. Raises DownloadError.
    """
    with _alone(folder, archive) as part:
        if folder.exists():
            return folder
        shutil.rmtree(part, ignore_errors=True)  # left by a program that was killed
        with tarfile.open(archive, "r:gz") as tar:
            if hasattr(tarfile, "data_filter"):
                tar.extractall(part, filter="data")
            else:
                tar.extractall(part)
        next(part.iterdir()).replace(folder)
        part.rmdir()
    return folder


def gunzip(archive: Path, path: Path) -> Path:
    """Unpack a .gz to the file `path`. Raises DownloadError."""
    with _alone(path, archive) as part:
        part.write_bytes(gzip.decompress(archive.read_bytes()))
        return part.replace(path)


@contextmanager
def _alone(path: Path, archive: Path | None = None) -> Iterator[Path]:
    """Give PATH.part to one process at a time; errors of disks and archives become DownloadErrors.

    archive: the file that PATH is unpacked from.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path.parent / ".download.lock")
        _wait_for(lock, path)
        try:
            yield path.with_name(f"{path.name}.part")
        finally:
            lock.release()
    except DownloadError:
        raise
    except (OSError, *DAMAGE) as error:
        advice = _advice(error, archive)
        raise DownloadError(f"{path} cannot be made ({error}): {advice}.") from None


def _wait_for(lock: FileLock, path: Path) -> None:
    """Take the lock; say it in a line where another program has it."""
    try:
        lock.acquire(timeout=0)
        return
    except Timeout:
        print_lines(f"Another program downloads or unpacks in {path.parent}: waiting for it.")
    try:
        lock.acquire(timeout=WAIT_SECONDS)
    except Timeout:
        raise DownloadError(
            f"{path} cannot be made, as another program has downloaded or unpacked there for "
            f"{WAIT_SECONDS / 60:g} minutes: end it, or delete {lock.lock_file} if there is none."
        ) from None


def _advice(error: BaseException, archive: Path | None) -> str:
    """What to do about an error of the disk or of an archive."""
    elsewhere = "set COURSE_DATA_DIR to a folder that may be written"
    if archive is not None and isinstance(error, DAMAGE):
        return f"{archive} is damaged, so move it away and run this again"
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"free some disk space, or {elsewhere}"
    if archive is not None and not archive.exists():
        return f"there is no {archive}"
    if isinstance(error, PermissionError):
        # On Windows, a scanner for viruses opens each new file for a moment.
        return f"wait a little and run this again in case a virus scanner reads it, or {elsewhere}"
    return elsewhere
