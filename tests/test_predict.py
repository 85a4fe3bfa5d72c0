"""Pictures from links, against real servers on loopback that misbehave in every way; and predictions."""

import contextlib
import dataclasses
import gzip
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
import traceback
import tracemalloc
import zlib
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from utils import predict as module
from utils.image import ImageError
from utils.predict import Prediction, load_image, predict, serve_folder

NOISE = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
linux = pytest.mark.skipif(sys.platform != "linux", reason="needs the sockets of Linux")


def encode(array, format="PNG") -> bytes:
    file = BytesIO()
    Image.fromarray(array).save(file, format)
    return file.getvalue()


NOISE_IMAGE = Image.fromarray(NOISE)
PNG = encode(NOISE)


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@contextlib.contextmanager
def server(answer, context: ssl.SSLContext | None = None):
    """A server whose `answer(send, path, alive)` says whatever it likes; gives its address, 127.0.0.1:PORT."""
    listener = socket.create_server(("127.0.0.1", 0))
    stop = threading.Event()

    def serve(connection):
        with contextlib.suppress(OSError), connection:
            if context:
                connection = context.wrap_socket(connection, server_side=True)
            request = b""
            while b"\r\n\r\n" not in request and not request.startswith(b"\x16"):  # that would be TLS
                request += connection.recv(65536) or b"\r\n\r\n"
            path = request.split(b" ")[1].decode(errors="replace") if b" " in request else ""
            answer(connection.sendall, path, lambda: not stop.is_set())

    def accept():
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        stop.set()
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def reply(body=b"", status="200 OK", length=None, **headers) -> bytes:
    """A whole HTTP answer; `Content_Type="x"` gives the header Content-Type; `length=""` leaves the length out."""
    lines = [f"HTTP/1.1 {status}", "Connection: close"]
    if length != "":
        lines.append(f"Content-Length: {len(body) if length is None else length}")
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def says(*parts: bytes):
    """An answer of these bytes and no more."""

    def answer(send, path, alive):
        for part in parts:
            send(part)

    return answer


def then_forever(start: bytes, part: bytes, seconds: float = 0.0):
    """An answer that goes on and on: `part` again and again, with a pause after each."""

    def answer(send, path, alive):
        send(start)
        while alive():
            send(part)
            time.sleep(seconds)

    return answer


def redirects(count: int, last: bytes = reply(PNG), body: bytes = b""):
    """Redirects from /0 to /1 and so on, in all the ways to write a link, then the last answer."""

    def answer(send, path, alive):
        step = int(path.strip("/") or 0)
        links = [f"/{step + 1}", f"{step + 1}", f"/x/../{step + 1}"]
        status = ["301 Moved", "302 Found", "303 See Other", "307 Temporary", "308 Permanent"][step % 5]
        send(reply(body, status, Location=links[step % 3]) if step < count else last)

    return answer


def chunked(*parts: bytes) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)


CHUNKED = reply(length="", Transfer_Encoding="chunked")
ENDLESS = reply(length="")

# --- links that work --------------------------------------------------------------------------------------

RIGHT = {
    "a picture": says(reply(PNG)),
    "a picture called text/html": says(reply(PNG, Content_Type="text/html")),
    "no length": says(reply(PNG, length="")),
    "a length that is no number": says(reply(PNG, length="many")),
    "byte by byte": says(*[reply(PNG)[k : k + 1] for k in range(len(reply(PNG)))]),
    "chunks": says(CHUNKED + chunked(PNG[:9], PNG[9:], b"")),
    "gzip": says(reply(gzip.compress(PNG), Content_Encoding="gzip")),
    "deflate": says(reply(zlib.compress(PNG), Content_Encoding="deflate")),
    "5 redirects": redirects(5),
    "a redirect that says much more": redirects(1, body=b"x" * 1_000_000),
    "HTTP/1.0": says(b"HTTP/1.0 200 OK\r\n\r\n" + PNG),
}


@pytest.mark.parametrize("name", RIGHT)
def test_a_link_gives_its_picture(name):
    with server(RIGHT[name]) as address:
        assert np.array_equal(load_image(f"http://{address}/0"), NOISE)
        assert np.array_equal(load_image(f"\n HTTP://{address} "), NOISE)


def test_a_redirect_leads_to_another_server():
    with (
        server(says(reply(PNG))) as there,
        server(says(reply(b"", "302 Found", Location=f"//{there}/"))) as here,
    ):
        assert np.array_equal(load_image(f"http://{here}/"), NOISE)


# --- links that do not ------------------------------------------------------------------------------------


def location(link: str):
    return says(reply(b"", "302 Found", Location=link))


def continues_forever(send, path, alive):
    while alive():
        send(b"HTTP/1.1 100 Continue\r\n\r\n" * 100)
        time.sleep(0.01)


def nothing(send, path, alive):
    while alive():
        time.sleep(0.02)


# name: (answer, words of the error)
FAULTS = {
    "404": (says(reply(b"<html>not here</html>", "404 Not Found")), "does not exist"),
    "401": (says(reply(b"", "401 Unauthorized")), "password"),
    "403": (says(reply(b"", "403 Forbidden")), "not given to programs"),
    "410": (says(reply(b"", "410 Gone")), "any more"),
    "500": (says(reply(b"", "500 Oh no")), "status 500"),
    "304": (says(reply(b"", "304 Not Modified")), "status 304"),
    "a picture with status 206": (says(reply(PNG, "206 Partial Content")), "status 206"),
    "nothing": (says(reply()), "empty"),
    "204": (says(reply(b"", "204 No Content")), "status 204"),
    "HTML": (says(reply(b"<!doctype html><p>A cat</p>", Content_Type="text/html")), "web page"),
    "HTML called a picture": (says(reply(b"<html><p>A cat</p>", Content_Type="image/png")), "web page"),
    "JSON": (says(reply(b'{"cat": 1}')), "no picture"),
    # redirects
    "redirect loop": (location("/0"), "redirected more than 5 times"),
    "6 redirects": (redirects(6), "redirected more than 5 times"),
    "redirect to file:": (location("file:///etc/passwd"), "a link of file:"),
    "redirect to FILE:": (location("FILE:///etc/passwd"), "a link of file:"),
    "redirect to ftp:": (location("ftp://127.0.0.1/cat.png"), "a link of ftp:"),
    "redirect to data:": (location("data:image/png;base64,AAAA"), "a link of data:"),
    "redirect to a path of Windows": (location("C:\\cat.png"), "a link of c:"),
    "redirect to nowhere": (says(reply(b"", "302 Found")), "status 302"),
    "redirect with a user name": (location("http://me:secret@127.0.0.1/"), "user name"),
    "redirect to a link that is none": (location("http://[::1/"), "cannot be fetched"),
    # lengths
    "a length too large": (says(reply(PNG, length=len(PNG) + 10)), "did not arrive whole"),
    "a length too small": (says(reply(PNG, length=len(PNG) - 60)), "damaged"),
    "a negative length": (says(reply(PNG[:-30], length=-5)), "damaged"),
    "two lengths": (says(reply(PNG, Content_length=5)), "cannot be fetched"),
    "a length of 10 TB": (says(reply(PNG, length=10**13)), "did not arrive whole"),
    "broken off in a chunk": (says(CHUNKED, chunked(PNG)[:-30]), "did not arrive whole"),
    "a chunk of unknown size": (says(CHUNKED, b"cat\r\n" + PNG), "did not arrive whole"),
    "a chunk of negative size": (says(CHUNKED, b"-5\r\n" + PNG), "cannot be fetched"),
    # too much
    "a stream that never ends": (then_forever(ENDLESS, PNG * 500), "10 MB"),
    "chunks that never end": (then_forever(CHUNKED, chunked(bytes(50_000))), "10 MB"),
    "a chunk header that never ends": (then_forever(CHUNKED, b"1" * 50_000), "did not arrive whole"),
    "a status line that never ends": (then_forever(b"HTTP/1.1 200 ", b"x" * 50_000), "did not arrive whole"),
    "a header that never ends": (
        then_forever(b"HTTP/1.1 200 OK\r\nA: ", b"x" * 50_000),
        "did not arrive whole",
    ),
    "headers that never end": (
        then_forever(b"HTTP/1.1 200 OK\r\n", b"A: b\r\n" * 1000),
        "did not arrive whole",
    ),
    "gzip bomb": (says(reply(gzip.compress(bytes(500_000_000), 1), Content_Encoding="gzip")), "10 MB"),
    "gzip in gzip": (
        says(reply(gzip.compress(gzip.compress(PNG)), Content_Encoding="gzip, gzip")),
        "packed wrongly",
    ),
    "gzip that is none": (says(reply(PNG, Content_Encoding="gzip")), "packed wrongly"),
    "gzip cut short": (says(reply(gzip.compress(PNG)[:-60], Content_Encoding="gzip")), "damaged"),
    "brotli": (says(reply(PNG, Content_Encoding="br")), "packed wrongly"),
    # not HTTP
    "hangs up at once": (says(), "did not arrive whole"),
    "hangs up in the headers": (says(b"HTTP/1.1 200 OK\r\nContent-Le"), "empty"),
    "speaks another language": (says(b"220 FTP ready\r\n"), "did not arrive whole"),
    "sends zeros": (says(bytes(10_000)), "did not arrive whole"),
}
# Those that only the clock can end; TOTAL_SECONDS is shortened for them.
SLOW = {
    "silence": nothing,
    "headers, one byte at a time": then_forever(b"HTTP/1.1 200 OK\r\nA: ", b"x", 0.02),
    "body, one byte at a time": then_forever(reply(PNG[:50], length=5000), b"x", 0.02),
    "chunks, one byte at a time": then_forever(CHUNKED, b"1\r\nx\r\n", 0.02),
    "a chunk's trailer that never ends": then_forever(CHUNKED + b"0\r\n", b"A: b\r\n", 0.01),
    "silence in the body": then_forever(reply(PNG[:50], length=5000), b"", 0.02),
    "gzip of nothing, again and again": then_forever(
        reply(length="", Content_Encoding="gzip"), gzip.compress(b"") * 10, 0.01
    ),
    "status 100 again and again": continues_forever,
}


def one_sentence(error: ImageError, *words: str) -> None:
    message = str(error)
    assert message.endswith(".")
    assert "\n" not in message
    assert ". " not in message
    assert len(message) < 300
    assert error.__cause__ is None
    assert error.__context__ is None or error.__suppress_context__
    for frame in traceback.extract_tb(error.__traceback__):
        assert not set(Path(frame.filename).parts) & {"PIL", "requests", "urllib3"}
    for word in words:
        assert word in message


def refused(source, *words: str) -> str:
    with pytest.raises(ImageError) as caught:
        load_image(source)
    one_sentence(caught.value, *words)
    return str(caught.value)


def downloads_end() -> bool:
    """Whether no download goes on in the background, within 5 seconds."""
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        if not any(thread.name == "picture" for thread in threading.enumerate()):
            return True
        time.sleep(0.01)
    return False


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # urllib3 leaves a socket to the garbage collector
@pytest.mark.parametrize("name", FAULTS)
def test_a_faulty_server_gets_one_sentence(name):
    answer, words = FAULTS[name]
    start = time.monotonic()
    with server(answer) as address:
        refused(f"http://{address}/0", address, words)
    assert time.monotonic() - start < 10


@pytest.mark.parametrize("name", SLOW)
def test_a_slow_server_is_given_up_in_time(name, monkeypatch):
    monkeypatch.setattr(module, "TOTAL_SECONDS", 0.4)
    start = time.monotonic()
    with server(SLOW[name]) as address:
        refused(f"http://{address}/0", address, "took more than 0.4 seconds")
        assert time.monotonic() - start < 3
        if "body" in name or "chunk" in name or "gzip" in name:  # reading is stopped; headers cannot be
            assert downloads_end()


@pytest.mark.parametrize(
    "name",
    ["gzip bomb", "a stream that never ends", "a chunk header that never ends", "a redirect that never ends"],
)
def test_a_server_cannot_fill_the_memory(name, monkeypatch):
    monkeypatch.setattr(module, "TOTAL_SECONDS", 1.0)
    endless = then_forever(reply(length="", status="302 Found", Location="/0"), b"x" * 50_000)
    answer = endless if "redirect" in name else FAULTS[name][0]
    with server(answer) as address:
        tracemalloc.start()
        try:
            refused(f"http://{address}/0")
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    print(f"{name}: {peak / 1e6:.0f} MB")
    assert peak < 60e6


def test_links_that_lead_nowhere():
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    refused(f"http://127.0.0.1:{port}/cat.png", "does not let")
    for link in ("http://", "http:///cat.png", "http://[::1/cat.png", "http://a b/cat.png", "http://x:port/"):
        refused(link, "check the link")
    refused("http://" + "a" * 70 + ".b/", "cannot be fetched")
    refused("ftp://127.0.0.1/cat.png", "a link of ftp:")
    refused("file:///etc/passwd", "a link of file:")
    refused("data:image/png;base64,iVBORw0KGgo=", "a link of data:")
    refused("blob:https://example.org/9115d58c", "a link of blob:")
    assert len(refused("data:image/png;base64," + "A" * 100_000)) < 300
    message = refused("http://me:secret@127.0.0.1/cat.png", "user name")
    assert "secret" not in message
    assert "me:" not in message


@linux
def test_a_server_that_does_not_accept_is_given_up(monkeypatch):
    monkeypatch.setattr(module, "CONNECT_SECONDS", 0.3)
    with socket.socket() as listener, contextlib.ExitStack() as full:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):  # nobody takes these up, and there is room for no more
            waiting = full.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        start = time.monotonic()
        refused(f"http://127.0.0.1:{listener.getsockname()[1]}/", "does not answer")
        assert time.monotonic() - start < 5


def test_a_server_without_an_address_is_named_as_the_fault(monkeypatch):
    def unknown(*args, **options):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    refused("http://pictures.invalid/cat.png", "pictures.invalid", "not known here")


def test_a_slow_name_server_is_given_up(monkeypatch):
    monkeypatch.setattr(module, "TOTAL_SECONDS", 0.3)
    done = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **options: done.wait(5))
    refused("http://pictures.invalid/cat.png", "took more than 0.3 seconds")
    done.set()


def test_a_server_without_a_valid_certificate_is_refused(tmp_path):
    with server(says(b"HTTP/1.1 200 OK\r\n\r\n")) as address:
        refused(f"https://{address}/", "certificate")  # it does not speak TLS at all
    if not shutil.which("openssl"):
        pytest.skip("openssl makes the certificate")
    files = ["-keyout", tmp_path / "key.pem", "-out", tmp_path / "certificate.pem"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1", *files]
    subprocess.run(command, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "certificate.pem", tmp_path / "key.pem")
    with server(says(reply(PNG)), context) as address:
        refused(f"https://{address}/", "certificate")


@linux
def test_stopping_the_cell_stops_the_download():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
    try:
        with server(then_forever(ENDLESS, b"x", 0.01)) as address:
            threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
            with pytest.raises(KeyboardInterrupt):
                load_image(f"http://{address}/")
            assert downloads_end()
    finally:
        signal.signal(signal.SIGINT, before)


# --- proxies ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_proxy_is_used_for_other_computers_only(name, monkeypatch):
    asked = []

    def answer(send, path, alive):
        asked.append(path)
        send(reply(PNG))

    with server(answer) as proxy, server(says(reply(PNG))) as here:
        monkeypatch.setenv(name, f"http://{proxy}")
        assert np.array_equal(load_image("http://pictures.invalid/cat.png"), NOISE)
        assert asked == ["http://pictures.invalid/cat.png"]
        assert np.array_equal(load_image(f"http://{here}/"), NOISE)
        assert np.array_equal(load_image(f"http://{here}/".replace("127.0.0.1", "localhost")), NOISE)
        assert len(asked) == 1
    refused("http://pictures.invalid/cat.png", "proxy")


# --- what is no link --------------------------------------------------------------------------------------


def test_paths_bytes_and_pil_images(tmp_path, monkeypatch):
    (tmp_path / "a cat.png").write_bytes(PNG)
    image = Image.fromarray(NOISE)
    sources = [
        tmp_path / "a cat.png",
        str(tmp_path / "a cat.png"),
        PNG,
        bytearray(PNG),
        memoryview(PNG),
        image,
    ]
    for source in sources:
        loaded = load_image(source)
        assert loaded.mode == "RGB"
        assert np.array_equal(loaded, NOISE)
    assert load_image(image) is not image
    monkeypatch.chdir(tmp_path)
    for name in ("data", "http", "C:\\cat.png", "http:cat.png", "c:/cat.png", "photo:1.png"):
        refused(name, "There is no picture file")
    if sys.platform != "win32":
        Path("photo:1.png").write_bytes(PNG)
        Path("C:\\cat.png").write_bytes(PNG)
        assert np.array_equal(load_image("photo:1.png"), NOISE)
        assert np.array_equal(load_image("C:\\cat.png"), NOISE)


def test_what_is_no_source_at_all():
    for source in (None, 3, NOISE, torch.zeros(3, 4, 4), [PNG], BytesIO(PNG), Image):
        refused(source, "a path, a link, bytes or a PIL image")
    refused(b"", "empty")


# --- serve_folder -----------------------------------------------------------------------------------------


def test_serve_folder_serves_and_stops(tmp_path, capfd):
    (tmp_path / "a cat.png").write_bytes(PNG)
    (tmp_path / "large").write_bytes(PNG + bytes(30_000_000))
    with serve_folder(tmp_path) as link:
        assert link.startswith("http://127.0.0.1:")
        assert np.array_equal(load_image(f"{link}/a cat.png"), NOISE)
        assert np.array_equal(load_image(f"{link}/a%20cat.png"), NOISE)
        refused(f"{link}/missing.png", "does not exist")
        refused(f"{link}/", "web page")  # the list of files
        refused(f"{link}/large", "10 MB")  # hangs up in the middle
        with serve_folder(tmp_path) as other:
            assert other != link
        assert np.array_equal(load_image(f"{link}/a cat.png"), NOISE)
    time.sleep(0.1)
    assert capfd.readouterr() == ("", "")
    refused(f"{link}/a cat.png", "does not let")


def test_serve_folder_serves_nothing_outside(tmp_path):
    (tmp_path / "secret.png").write_bytes(PNG)
    (tmp_path / "open").mkdir()
    with serve_folder(tmp_path / "open") as link:
        for path in ("/../secret.png", "/%2e%2e/secret.png", "/..%2fsecret.png"):
            with socket.create_connection(("127.0.0.1", int(link.rsplit(":")[-1]))) as connection:
                connection.sendall(f"GET {path} HTTP/1.0\r\n\r\n".encode())
                assert b" 404 " in connection.recv(100)
    with pytest.raises(NotADirectoryError, match="no folder"), serve_folder(tmp_path / "missing"):
        pass


# --- predict ----------------------------------------------------------------------------------------------


class Recorder(nn.Module):
    """A network that notes what it gets; its outputs are 0, 1, 2, ... for every picture."""

    def __init__(self, outputs: int = 3, dtype=torch.float32):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros((), dtype=dtype))
        self.frozen = nn.Sequential(nn.BatchNorm2d(3), nn.Dropout())
        self.outputs, self.batch, self.modes, self.grad = outputs, None, None, None

    def forward(self, batch):
        self.batch, self.modes = batch.clone(), [module.training for module in self.modules()]
        self.grad = torch.is_grad_enabled()
        return torch.arange(self.outputs, dtype=batch.dtype).expand(len(batch), -1) + self.weight


def data_set(channels=3, side=4, mean=(0.5, 0.4, 0.3), std=(0.2, 0.3, 0.4), classes=("cat", "dog", "frog")):
    images = torch.zeros(1, channels, side, side, dtype=torch.uint8)
    return SimpleNamespace(
        images=images, classes=classes, name="Three", mean=mean[:channels], std=std[:channels]
    )


def test_predict_normalises_like_the_data_set():
    net, image = Recorder(), NOISE[:4, :4]
    result = predict(net, Image.fromarray(image), data_set())
    assert isinstance(result, Prediction)
    assert np.array_equal(result.seen, image)  # already the right size: the very same pixels
    expected = (image / 255 - [0.5, 0.4, 0.3]) / [0.2, 0.3, 0.4]
    assert net.batch.dtype == torch.float32
    assert np.abs(net.batch[0].permute(1, 2, 0).numpy() - expected).max() < 1e-5
    assert result.classes == ("cat", "dog", "frog")
    assert result.probabilities.dtype == np.float32
    assert np.allclose(result.probabilities, np.exp([0, 1, 2]) / np.exp([0, 1, 2]).sum(), atol=1e-6)
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.classes = ()


@pytest.mark.parametrize("shape", [(40, 100), (100, 40), (41, 40), (40, 40)])
def test_predict_sees_the_middle_square(shape):
    height, width = shape
    image = np.zeros((height, width, 3), np.uint8)
    side = min(shape)
    top, left = (height - side) // 2, (width - side) // 2
    image[top : top + side, left : left + side] = 200  # all that is seen is this
    seen = np.asarray(predict(Recorder(), Image.fromarray(image), data_set(), size=8).seen)
    assert seen.shape == (8, 8, 3)
    assert np.array_equal(seen, np.full((8, 8, 3), 200))


@pytest.mark.parametrize("size", [1, 5, 32, 224])
def test_predict_sees_the_size_that_is_asked_for(size):
    net = Recorder()
    assert predict(net, Image.fromarray(NOISE), data_set(), size=size).seen.size == (size, size)
    assert net.batch.shape == (1, 3, size, size)
    for shape in ((1, 1), (1, 3000), (3000, 1)):
        assert (
            predict(net, Image.new("RGB", shape, "red"), data_set(), size=size).seen.getpixel((0, 0))[0]
            == 255
        )


def test_predict_averages_where_it_shrinks():
    stripes = np.zeros((256, 256, 3), np.uint8)
    stripes[:, ::2] = 255
    seen = np.asarray(predict(Recorder(), Image.fromarray(stripes), data_set(side=32)).seen).astype(int)
    assert np.abs(seen[2:-2, 2:-2] - 127).max() <= 8  # without antialiasing, all 0 or all 255


@pytest.mark.parametrize(("invert", "value"), [(False, 54), (True, 201)])
def test_predict_gives_one_channel_where_the_data_set_has_one(invert, value):
    net, image = Recorder(), Image.new("RGB", (9, 9), (180, 0, 0))  # 180 * 0.299 = 54
    result = predict(net, image, data_set(1), invert=invert)
    assert result.seen.mode == "L"
    assert np.array_equal(result.seen, np.full((4, 4), value))
    assert net.batch.shape == (1, 1, 4, 4)
    assert torch.allclose(net.batch, torch.tensor((value / 255 - 0.5) / 0.2), atol=1e-5)
    assert predict(net, image, data_set(), invert=True).seen.getpixel((0, 0)) == (75, 255, 255)


def test_predict_leaves_the_network_as_it_was():
    net = Recorder().train()
    net.frozen.eval()
    before = [part.training for part in net.modules()]
    predict(net, NOISE_IMAGE, data_set())
    assert not any(net.modes)
    assert net.grad is False
    assert [part.training for part in net.modules()] == before == [True, False, False, False]
    with pytest.raises(ValueError, match=r"outputs of shape \(1, 7\).*Three has 3 classes"):
        predict(Recorder(7).train(), NOISE_IMAGE, data_set())

    class Broken(Recorder):
        def forward(self, batch):
            raise RuntimeError("no")

    net = Broken().train()
    with pytest.raises(RuntimeError, match="no"):
        predict(net, NOISE_IMAGE, data_set())
    assert all(part.training for part in net.modules())


def test_predict_follows_the_network_to_its_number_type():
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        net = Recorder(dtype=dtype)
        assert predict(net, NOISE_IMAGE, data_set()).probabilities.dtype == np.float32
        assert net.batch.dtype == dtype
    bare = nn.Sequential(nn.Flatten(), nn.AdaptiveAvgPool1d(3))  # has no parameters
    assert predict(bare, NOISE_IMAGE, data_set()).probabilities.shape == (3,)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_predict_follows_the_network_to_its_device():
    net = nn.Sequential(nn.Flatten(), nn.Linear(48, 3))
    on_cpu = predict(net, NOISE_IMAGE, data_set()).probabilities
    assert np.allclose(predict(net.cuda(), NOISE_IMAGE, data_set()).probabilities, on_cpu, atol=1e-4)


def test_predict_takes_whatever_load_image_takes(tmp_path):
    (tmp_path / "cat.png").write_bytes(PNG)
    expected = np.asarray(predict(Recorder(), NOISE_IMAGE, data_set()).seen)
    with serve_folder(tmp_path) as link:
        for source in (PNG, tmp_path / "cat.png", f"{link}/cat.png"):
            assert np.array_equal(predict(Recorder(), source, data_set()).seen, expected)
    clear = Image.new("RGBA", (9, 9), (0, 0, 0, 0))
    assert predict(Recorder(), clear, data_set()).seen.getpixel((0, 0)) == (255, 255, 255)
    with pytest.raises(ImageError):
        predict(Recorder(), tmp_path / "missing.png", data_set())
