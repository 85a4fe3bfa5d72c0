"""One picture, from anywhere, through a network: `load_image` gets it, `predict` gives its class probabilities."""

import functools
import os
import queue
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from urllib.parse import urljoin, urlsplit

import numpy as np
import requests
import torch
import urllib3
from PIL import Image, ImageOps
from torch import nn

from utils.data import ImageSet
from utils.image import MAX_BYTES, ImageError, decode_image, open_image, to_rgb

Source = str | os.PathLike | bytes | Image.Image  # what load_image takes
CONNECT_SECONDS = 10.0
TOTAL_SECONDS = 30.0
MAX_REDIRECTS = 5
HEADERS = {
    "User-Agent": "image-classification-course/1.0",
    "Accept": "image/*",
    "Accept-Encoding": "identity",
}

_BY_HAND = "download the picture in a browser and give the path of the file"
_LINK = re.compile(r"\s*([a-z][a-z0-9+.-]+://|data:|blob:)", re.IGNORECASE)  # C:\cat.png is a path
_ENCODINGS = ("", "identity", "gzip", "x-gzip", "deflate")
_STATUS = {
    401: f"asks for a password: {_BY_HAND}",
    403: f"is not given to programs: {_BY_HAND}",
    404: "does not exist on its server: check the link",
    410: "does not exist any more: look for another picture",
}
_FAULTS = {  # the first that fits counts: many of these are ConnectionErrors too
    requests.exceptions.SSLError: f"has no certificate that can be trusted: check the clock, or {_BY_HAND}",
    requests.exceptions.ProxyError: "cannot be reached through the proxy: check HTTP_PROXY, HTTPS_PROXY, NO_PROXY",
    requests.exceptions.Timeout: f"is on a server that does not answer: try again later, or {_BY_HAND}",
    urllib3.exceptions.NameResolutionError: "is on a server that is not known here: check the link and your network",
    urllib3.exceptions.DecodeError: f"was packed wrongly by its server: {_BY_HAND}",
    urllib3.exceptions.ProtocolError: f"did not arrive whole: try again, or {_BY_HAND}",
    requests.exceptions.ConnectionError: "is on a server that does not let this computer in: check the link",
    Exception: f"cannot be fetched: check the link, or {_BY_HAND}",
}


@dataclass(frozen=True)
class Prediction:
    """What a network saw and what it made of it."""

    seen: Image.Image  # RGB or greyscale, [size, size]
    classes: tuple[str, ...]  # K names
    probabilities: np.ndarray  # float32 [K], sum 1


def load_image(source: Source) -> Image.Image:
    """The picture at a path or an http(s) link, in bytes or in a PIL image, as RGB. Raises ImageError."""
    if isinstance(source, Image.Image):
        return to_rgb(source)
    if isinstance(source, bytes | bytearray | memoryview):
        return decode_image(bytes(source))
    if isinstance(source, str) and _LINK.match(source):
        url = source.strip()
        return decode_image(_fetch(url), _short(url))
    if isinstance(source, str | os.PathLike):
        return open_image(source)
    kind = type(source).__name__
    raise ImageError(
        f"A picture is a path, a link, bytes or a PIL image, not {kind}: try Image.fromarray(...)."
    )


def predict(
    net: nn.Module, image: Source, dataset: ImageSet, size: int | None = None, *, invert: bool = False
) -> Prediction:
    """The class probabilities of one picture.

    The middle square of `image` (anything that `load_image` takes) is scaled to `size`, or to the size of the
    data set's images, and normalised as they are. `invert=True` turns dark on light into light on dark, as in
    MNIST. Raises ImageError, and ValueError where the network has not one output for each class.
    """
    channels, side = dataset.images.shape[1], size or dataset.images.shape[-1]
    image = load_image(image).convert("L" if channels == 1 else "RGB")
    edge = min(image.size)
    left, top = (image.width - edge) // 2, (image.height - edge) // 2
    seen = image.crop((left, top, left + edge, top + edge))
    seen = seen.resize((side, side), Image.Resampling.BICUBIC)  # Pillow's averages where it shrinks
    if invert:
        seen = ImageOps.invert(seen)

    weight = next(net.parameters(), torch.zeros(0))
    pixels = torch.from_numpy(np.array(seen)).reshape(1, side, side, channels).permute(0, 3, 1, 2)
    mean, std = (torch.tensor(values).view(1, -1, 1, 1) for values in (dataset.mean, dataset.std))
    batch = ((pixels / 255 - mean) / std).to(weight.device, weight.dtype)  # [1, channels, side, side]

    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    try:
        with torch.inference_mode():
            logits = net(batch).float()
    finally:
        for module, training in modes:
            module.training = training
    if logits.shape != (1, len(dataset.classes)):
        raise ValueError(
            f"The network gives outputs of shape {tuple(logits.shape)} for one picture, but {dataset.name} has "
            f"{len(dataset.classes)} classes: build it with that many outputs."
        )
    return Prediction(seen, tuple(dataset.classes), logits.softmax(dim=1)[0].cpu().numpy())


@contextmanager
def serve_folder(folder: str | Path) -> Iterator[str]:
    """Serves a folder to this computer alone while the block runs; gives its link, http://127.0.0.1:PORT."""
    if not Path(folder).is_dir():
        raise NotADirectoryError(f"There is no folder {folder} to serve: check its path.")
    server = _Server(("127.0.0.1", 0), functools.partial(_Handler, directory=str(folder)))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


class _Handler(SimpleHTTPRequestHandler):
    def log_message(self, *args) -> None:
        pass


class _Server(ThreadingHTTPServer):
    def server_bind(self) -> None:  # HTTPServer's own looks its name up, which can take seconds offline
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]

    def handle_error(self, *args) -> None:  # a reader that hangs up early is no error
        pass


def _fetch(url: str) -> bytes:
    """The bytes behind a link, in TOTAL_SECONDS at most. Raises ImageError.

    A thread does the work and is left behind when time is up, because the timeout of a socket covers neither a
    slow name server nor a header that comes at one byte a second.
    """
    answers, responses = queue.SimpleQueue(), []

    def work() -> None:
        try:
            answers.put(_download(url, responses))
        except ImageError as error:
            answers.put(error)
        except Exception as error:
            causes = [error, *error.args, *(getattr(cause, "reason", None) for cause in error.args)]
            fault = next(text for kind, text in _FAULTS.items() if any(isinstance(c, kind) for c in causes))
            answers.put(ImageError(f"{_short(url)} {fault}."))

    threading.Thread(target=work, name="picture", daemon=True).start()
    try:
        answer = answers.get(timeout=TOTAL_SECONDS)
    except queue.Empty:
        answer = ImageError(
            f"{_short(url)} took more than {TOTAL_SECONDS:g} seconds: try again, or {_BY_HAND}."
        )
    finally:  # whatever is still being read ends here, also when the reader stopped the cell
        for response in responses:
            with suppress(Exception):
                response.raw.shutdown()
    if isinstance(answer, ImageError):
        raise answer from None
    return answer


def _download(url: str, responses: list[requests.Response]) -> bytes:
    """The bytes behind a link, without a limit of time; puts each response in `responses` before it reads it."""
    name = _short(url)
    with _Session() as session:
        for _ in range(MAX_REDIRECTS + 1):
            link = urlsplit(url)
            if link.scheme not in ("http", "https"):
                raise ImageError(
                    f"{name} leads to a link of {link.scheme}:, not of http or https: {_BY_HAND}."
                )
            if "@" in link.netloc:
                raise ImageError(
                    f"{name} has a user name in it, and such links are not followed: {_BY_HAND}."
                )
            # Proxies are for other computers: with HTTP_PROXY set, a server on this one is still asked directly.
            session.trust_env = not re.fullmatch(r"localhost|127\.[\d.]+|::1", link.hostname or "")
            timeouts = (CONNECT_SECONDS, TOTAL_SECONDS)
            with session.get(url, headers=HEADERS, stream=True, timeout=timeouts) as response:
                responses.append(response)
                target = requests.Session.get_redirect_target(session, response)
                if target is None:
                    return _read(response, name)
                url = urljoin(url, target)
    raise ImageError(f"{name} is redirected more than {MAX_REDIRECTS} times: {_BY_HAND}.")


def _read(response: requests.Response, name: str) -> bytes:
    """The body of a response; MAX_BYTES counts on the wire and after decompression."""
    if response.status_code != 200:
        fault = f"cannot be had now (HTTP status {response.status_code}): try again later"
        raise ImageError(f"{name} {_STATUS.get(response.status_code, fault)}.")
    if response.headers.get("Content-Encoding", "").lower() not in _ENCODINGS:
        raise urllib3.exceptions.DecodeError
    data = bytearray()
    # Not iter_content: in a chunked body, urllib3 2.2 reads lines of any length there.
    while part := response.raw.read(2**16, decode_content=True):
        data += part
        if max(len(data), response.raw.tell()) > MAX_BYTES:
            raise ImageError(f"{name} has more than {MAX_BYTES / 1e6:g} MB: look for a smaller picture.")
    return bytes(data)


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> None:
        """Leaves redirects to `_download`: requests would read the whole body of each, however long."""


def _short(url: str) -> str:
    """A link as an error shows it: not too long, and without a password."""
    url = re.sub(r"//[^/]*@", "//", url)
    return url if len(url) <= 80 else f"{url[:60]}...{url[-17:]}"
