"""One file from the first of several mirrors that delivers it: resumed, checked, unpacked, all or nothing."""

import gzip
import hashlib
import shutil
import sys
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import requests
from filelock import FileLock
from tqdm import tqdm
from urllib3.exceptions import HTTPError

TIMEOUT = (5, 15)  # seconds: to connect, and without a byte


class DataError(RuntimeError):
    """A data set cannot be had or read; the sentence says what to do."""


class DownloadError(DataError, OSError):
    """A file could not be fetched or unpacked; the message is one sentence that says what to do."""


def download(urls: Sequence[str], path: Path, md5: str, size: int | None = None) -> Path:
    """Fetch the file with this MD5 (`size` in bytes) to `path`, unless it is there. Raises DownloadError."""
    reasons = {}
    with _alone(path) as part:
        if _has_md5(path, md5):
            return path
        with tqdm(desc=path.name, total=size, unit="B", unit_scale=True, file=sys.stdout) as bar:
            for url in [*urls, *urls]:  # each may have a second try
                try:
                    if not _has_md5(
                        part, md5
                    ):  # whole, where a program was killed just before `replace`
                        _append(url, part, bar)
                    if _has_md5(part, md5):
                        return part.replace(path)
                    part.unlink(missing_ok=True)
                    reasons[url] = "not the right file"
                except (requests.RequestException, HTTPError, ValueError) as error:
                    reasons[url] = error if isinstance(error, ValueError) else type(error).__name__
    why = "; ".join(f"{url}: {reason}" for url, reason in reasons.items())
    advice = f"check the network connection and run this again, or put the file at {path} yourself"
    raise DownloadError(f"{path.name} could not be downloaded ({why}): {advice}.")


def _append(url: str, part: Path, bar: tqdm) -> None:
    """Ask a mirror for the bytes that `part` lacks at its end, and add them; ValueError if it has none."""
    have = part.stat().st_size if part.exists() else 0
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
    with requests.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
        if (
            response.status_code == 416
        ):  # there are no more bytes: the MD5 tells whether these are right
            return
        if response.status_code not in (200, 206) or "html" in response.headers.get(
            "Content-Type", ""
        ):
            raise ValueError(f"a web page ({response.status_code} {response.reason})")
        with part.open("ab" if response.status_code == 206 else "wb") as file:
            bar.n = file.tell()
            bar.total = bar.total or bar.n + int(response.headers.get("Content-Length", 0))
            while chunk := response.raw.read1(2**16, decode_content=False):  # a .gz stays one
                bar.update(file.write(chunk))


def _has_md5(path: Path, md5: str) -> bool:
    return (
        path.is_file() and hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest() == md5
    )


def extract_tar(archive: Path, folder: Path) -> Path:
    """Unpack a .tar.gz so that `folder` is the one folder in it, unless it is there. Raises DownloadError."""
    with _alone(folder) as part:
        if not folder.exists():
            shutil.rmtree(part, ignore_errors=True)  # left by a program that was killed
            shutil.unpack_archive(archive, part, "gztar", filter="data")
            next(part.iterdir()).replace(folder)
            part.rmdir()
    return folder


def gunzip(archive: Path, path: Path) -> Path:
    """Unpack a .gz to the file `path`. Raises DownloadError."""
    with _alone(path) as part:
        part.write_bytes(gzip.decompress(archive.read_bytes()))
        return part.replace(path)


@contextmanager
def _alone(path: Path) -> Iterator[Path]:
    """Give PATH.part to one process at a time; errors of disks and archives become DownloadErrors."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(path.parent / ".download.lock"):
            yield path.with_name(f"{path.name}.part")
    except (OSError, tarfile.TarError, zlib.error, EOFError, ValueError) as error:
        advice = "free some disk space, or set COURSE_DATA_DIR to a folder that may be written"
        raise DownloadError(f"{path} cannot be made ({error}): {advice}.") from None
