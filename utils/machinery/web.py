"""Pictures from links, with care: a link comes from anywhere, and its server may be anybody's."""

import ipaddress
import queue
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingTCPServer
from urllib.parse import urljoin

import requests
from urllib3.util import Url, parse_url  # the parser of requests, so that both see the same host

from utils.machinery.pictures import MAX_LINK_BYTES, ImageError

TIMEOUT = (10, 10)  # seconds: to connect, and without a byte
TOTAL_SECONDS = 30.0
MAX_REDIRECTS = 5
HEADERS = {"User-Agent": "image-classification-course/1.0", "Accept-Encoding": "identity"}
BY_HAND = "download the picture in a browser and give the path of the file"
THIS_COMPUTER = r"localhost|127\.[\d.]+|\[::1\]"


def fetch(url: str) -> bytes:
    """The bytes behind an http or https link, at most 10 MB in 30 seconds. Raises ImageError.

    The 30 seconds hold whatever the server does: it is asked by a thread of its own, which nobody
    waits for any longer.
    """
    name = re.sub(r"//[^/]*@", "//", url)[:80]  # for errors: not too long, and without a password
    answers: queue.SimpleQueue[bytes | Exception] = queue.SimpleQueue()
    threading.Thread(target=_ask, args=(url, name, answers), daemon=True).start()
    try:
        answer = answers.get(timeout=TOTAL_SECONDS)
    except queue.Empty:
        raise _too_slow(name) from None
    if isinstance(answer, bytes):
        return answer
    if isinstance(answer, ImageError):
        raise answer
    # An error of requests, urllib3, the socket or the encoding of the name.
    reason = f"cannot be fetched ({type(answer).__name__})"
    raise ImageError(f"{name} {reason}: check the link and the network, or {BY_HAND}.")


def _ask(url: str, name: str, answers: queue.SimpleQueue[bytes | Exception]) -> None:
    """Put into the queue what the link gives, or the error."""
    try:
        answers.put(_follow(url, name, time.monotonic() + TOTAL_SECONDS))
    except Exception as error:
        answers.put(error)


def _too_slow(name: str) -> ImageError:
    return ImageError(f"{name} took more than {TOTAL_SECONDS:g} seconds: try again, or {BY_HAND}.")


def _follow(url: str, name: str, end: float) -> bytes:
    """Fetch from the last of a row of redirects; requests itself would follow them anywhere."""
    came_from = None  # the host that redirected here
    with _session() as session:
        for _ in range(MAX_REDIRECTS + 1):
            if time.monotonic() > end:
                raise _too_slow(name)
            link = parse_url(url)
            _check_link(link, came_from, name)
            # Proxies are for other computers: with HTTP_PROXY set, this one is asked directly.
            session.trust_env = not re.fullmatch(THIS_COMPUTER, link.host or "")
            with session.get(url, headers=HEADERS, stream=True, timeout=TIMEOUT) as response:
                target = requests.Session.get_redirect_target(session, response)
                if target is None:
                    return _read(response, name, end)
            url = urljoin(url, target)
            came_from = link.host
    raise ImageError(f"{name} is redirected more than {MAX_REDIRECTS} times: {BY_HAND}.")


def _session() -> requests.Session:
    """A session that sends no password from .netrc and follows no redirect by itself."""

    def no_password(request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request

    def no_redirect(response: requests.Response) -> None:
        return None

    session = requests.Session()
    session.auth = no_password  # without one, requests looks for a password in .netrc
    session.get_redirect_target = no_redirect  # type: ignore[method-assign, assignment]
    return session


def _check_link(link: Url, came_from: str | None, name: str) -> None:
    if link.scheme not in ("http", "https") or link.auth is not None:
        raise ImageError(f"{name} is or leads to no plain http or https link: {BY_HAND}.")
    if came_from and _is_private(link.host or "") and not _is_private(came_from):
        raise ImageError(f"{name} leads from a public server to a private address: check the link.")


def _read(response: requests.Response, name: str, end: float) -> bytes:
    if response.status_code != 200:
        raise ImageError(
            f"{name} is not given out (HTTP status {response.status_code}): {BY_HAND}."
        )
    data = bytearray()
    while part := response.raw.read1(2**16, decode_content=True):  # whatever has come, unpacked
        data += part
        if len(data) > MAX_LINK_BYTES:
            raise ImageError(
                f"{name} has more than {MAX_LINK_BYTES / 1e6:g} MB: look for a smaller picture."
            )
        if time.monotonic() > end:
            raise _too_slow(name)
    return bytes(data)


def _is_private(host: str) -> bool:
    """Whether a name leads to this computer or its network, and not to a public address."""
    try:
        addresses = {str(entry[4][0]) for entry in socket.getaddrinfo(host.strip("[]"), None)}
    except OSError:  # unknown here, but perhaps not to the proxy
        return False
    return not all(ipaddress.ip_address(address).is_global for address in addresses)


class _QuietHandler(SimpleHTTPRequestHandler):
    """Gives out files, and does not print a line for each."""

    def log_message(self, *_: object) -> None:
        pass


class _QuietServer(ThreadingTCPServer):
    """Does not keep Python from ending, and takes a reader that hangs up early for no error."""

    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        pass


@contextmanager
def serve_folder(folder: str | Path) -> Iterator[str]:
    """Serves a folder to this computer alone while the block runs; gives its link.

    The link is http://127.0.0.1:PORT, with a port that was free.
    """
    handler = partial(_QuietHandler, directory=str(folder))
    with _QuietServer(("127.0.0.1", 0), handler) as server:
        waiting = {"poll_interval": 0.05}
        threading.Thread(target=server.serve_forever, kwargs=waiting, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
