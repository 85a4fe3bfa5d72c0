"""Pictures from links, with care: a link is pasted from anywhere, and its server may be anybody's."""

import ipaddress
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
from urllib3.util import parse_url  # the parser that requests uses, so that both see the same host

from utils.machinery.pictures import MAX_BYTES, ImageError

TIMEOUT = (10, 10)  # seconds: to connect, and without a byte
TOTAL_SECONDS = 30.0
MAX_REDIRECTS = 5
HEADERS = {"User-Agent": "image-classification-course/1.0", "Accept-Encoding": "identity"}
BY_HAND = "download the picture in a browser and give the path of the file"


def fetch(url: str) -> bytes:
    """The bytes behind an http or https link, at most 10 MB in 30 seconds. Raises ImageError."""
    name = re.sub(r"//[^/]*@", "//", url)[:80]  # for errors: not too long, and without a password
    try:
        return _follow(url, name, time.monotonic() + TOTAL_SECONDS)
    except ImageError:
        raise
    except Exception as error:  # of requests, urllib3, the socket or the encoding of the name
        reason = f"cannot be fetched ({type(error).__name__})"
        raise ImageError(
            f"{name} {reason}: check the link and the network, or {BY_HAND}."
        ) from None


def _follow(url: str, name: str, end: float) -> bytes:
    """Fetch from the last of a row of redirects; requests itself would follow them anywhere."""
    session, before = requests.Session(), None  # before: the host that redirected here
    session.auth = lambda request: request  # none: else requests looks for a password in .netrc
    session.get_redirect_target = lambda response: None
    for _ in range(MAX_REDIRECTS + 1):
        link = parse_url(url)
        if link.scheme not in ("http", "https") or link.auth is not None:
            raise ImageError(f"{name} is or leads to no plain http or https link: {BY_HAND}.")
        if before and _is_private(link.host) and not _is_private(before):
            raise ImageError(
                f"{name} leads from a public server to a private address: check the link."
            )
        # Proxies are for other computers: with HTTP_PROXY set, a server on this one is still asked directly.
        session.trust_env = not re.fullmatch(r"localhost|127\.[\d.]+|\[::1\]", link.host or "")
        with session.get(url, headers=HEADERS, stream=True, timeout=TIMEOUT) as response:
            target = requests.Session.get_redirect_target(session, response)
            if target is None:
                return _read(response, name, end)
        url, before = urljoin(url, target), link.host
    raise ImageError(f"{name} is redirected more than {MAX_REDIRECTS} times: {BY_HAND}.")


def _read(response: requests.Response, name: str, end: float) -> bytes:
    if response.status_code != 200:
        raise ImageError(
            f"{name} is not given out (HTTP status {response.status_code}): {BY_HAND}."
        )
    data = bytearray()
    while part := response.raw.read1(2**16, decode_content=True):  # whatever has come, unpacked
        data += part
        if len(data) > MAX_BYTES:
            raise ImageError(
                f"{name} has more than {MAX_BYTES / 1e6:g} MB: look for a smaller picture."
            )
        if time.monotonic() > end:
            raise ImageError(
                f"{name} took more than {TOTAL_SECONDS:g} seconds: try again, or {BY_HAND}."
            )
    return bytes(data)


def _is_private(host: str) -> bool:
    """Whether a name leads to this computer or its network, and not to a public address."""
    try:
        addresses = {entry[4][0] for entry in socket.getaddrinfo(host.strip("[]"), None)}
    except OSError:  # unknown here, but perhaps not to the proxy
        return False
    return not all(ipaddress.ip_address(address).is_global for address in addresses)


_Quiet = type("_Quiet", (SimpleHTTPRequestHandler,), {"log_message": lambda *args: None})


@contextmanager
def serve_folder(folder: str | Path) -> Iterator[str]:
    """Serves a folder to this computer alone while the block runs; gives its link, http://127.0.0.1:PORT."""
    with ThreadingTCPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as server:
        server.daemon_threads = True
        server.handle_error = lambda *args: None  # a reader that hangs up early is no error
        threading.Thread(
            target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        ).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()
