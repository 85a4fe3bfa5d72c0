"""Pictures from links, against real servers on loopback that misbehave; and predictions."""

import gzip
import socket
import threading
import time
import tracemalloc
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image
from servers import Server, forever, no_proxy, reply, silent  # noqa: F401
from torch import nn

from utils.data import Batches, ImageSet
from utils.machinery import web
from utils.machinery.pictures import ImageError
from utils.predict import load_image, predict, serve_folder

NOISE = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
NOISE_IMAGE = Image.fromarray(NOISE)
FILE = BytesIO()
NOISE_IMAGE.save(FILE, "PNG")
PNG = FILE.getvalue()
FILE = BytesIO()
Image.new("1", (5_000, 5_001)).save(FILE, "PNG")
LARGE_PNG = FILE.getvalue()
CHUNKED = reply(Content_Length=None, Transfer_Encoding="chunked")
ENDLESS = reply(Content_Length=None)


def redirect(link: str, body: bytes = b"") -> bytes:
    return reply(body, "302 Found", Location=link)


def refused(source, word: str = "") -> str:
    """The one sentence about a source that is no picture."""
    with pytest.raises(ImageError, match=word or None) as caught:
        load_image(source)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


RIGHT = {
    "a picture": [reply(PNG)],
    "no length": [reply(PNG, Content_Length=None)],
    "chunks": [
        CHUNKED + b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (PNG[:9], PNG[9:], b""))
    ],
    "gzip": [reply(gzip.compress(PNG), Content_Encoding="gzip")],
    "5 redirects": [*(redirect(link) for link in ("/1", "2", "?3", "/x/../4", "/5")), reply(PNG)],
    "a redirect that says much more": [redirect("/1", bytes(1_000_000)), reply(PNG)],
}


@pytest.mark.parametrize("name", RIGHT)
def test_a_link_gives_its_picture(name):
    with Server(*RIGHT[name]) as server:
        assert np.array_equal(load_image(f"\n {server.url} "), NOISE)


FAULTS = {  # name: (answer, word of the error)
    "404": (reply(b"<html>not here</html>", "404 Not Found"), "404"),
    "nothing": (reply(), "no JPEG"),
    "a web page": (reply(b"<!doctype html><p>A cat</p>", Content_Type="image/png"), "web page"),
    "a redirect in a circle": (redirect("/0"), "redirected more than 5"),
    "a redirect to a file": (redirect("FILE:///etc/passwd"), "http"),
    "a redirect to data": (redirect("data:image/png;base64,AAAA"), "http"),
    "a redirect with a user name": (redirect("http://me:secret@127.0.0.1/"), "http"),
    "a redirect to nowhere": (reply(b"", "302 Found"), "302"),
    "a length too large": (reply(PNG, Content_Length=10**6), "cannot be fetched"),
    "broken off in a chunk": (CHUNKED + b"%x\r\n" % len(PNG) + PNG[:50], "cannot be fetched"),
    "a stream that never ends": (forever(ENDLESS, PNG * 500), "10 MB"),
    "a header that never ends": (
        forever(b"HTTP/1.1 200 OK\r\nA: ", b"x" * 50_000),
        "cannot be fetched",
    ),
    "a picture of too many pixels": (reply(LARGE_PNG), "5,000 x 5,001"),
    "gzip bomb": (reply(gzip.compress(bytes(100_000_000), 1), Content_Encoding="gzip"), "10 MB"),
    "gzip that is none": (reply(PNG, Content_Encoding="gzip"), "cannot be fetched"),
    "no HTTP": (b"220 FTP ready\r\n", "cannot be fetched"),
}


@pytest.mark.filterwarnings(
    "ignore::ResourceWarning"
)  # urllib3 leaves a socket to the garbage collector
@pytest.mark.parametrize("name", FAULTS)
def test_a_faulty_server_gets_one_sentence_and_little_memory(name):
    answer, word = FAULTS[name]
    with Server(answer) as server:
        tracemalloc.start()
        refused(server.url, word)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 60e6


def slow_redirect(server, send, first):
    time.sleep(0.15)
    send(redirect("/again"))


SLOW = {
    "silence": silent,
    "one byte at a time": forever(reply(PNG[:50], Content_Length=5000), b"x", 0.02),
    "chunks of one byte": forever(CHUNKED, b"1\r\nx\r\n", 0.02),
    "the length of a chunk, a byte at a time": forever(CHUNKED, b"0", 0.02),
    "a header, a byte at a time": forever(b"HTTP/1.1 200 OK\r\nA: ", b"x", 0.02),
    "a first line, a byte at a time": forever(b"HTTP/1.1 200 ", b"O", 0.02),
    "redirects, each a little slow": slow_redirect,
    "a redirect with a header that never ends": forever(redirect("/1")[:-2] + b"A: ", b"x", 0.02),
}


@pytest.mark.parametrize("name", SLOW)
def test_a_slow_server_is_given_up_in_time(name, monkeypatch):
    monkeypatch.setattr(web, "TOTAL_SECONDS", 0.4)
    monkeypatch.setattr(web, "TIMEOUT", (9, 9))
    before = set(threading.enumerate())
    start = time.monotonic()
    with Server(SLOW[name]) as server:
        refused(server.url, "more than 0.4 seconds")
        assert time.monotonic() - start < 4
        # Nothing is left that would keep Python from ending.
        assert all(thread.daemon for thread in set(threading.enumerate()) - before)


def test_links_that_lead_nowhere():
    for host in ("", "/cat.png", "[::1/", "x:port/", f"{'a' * 70}.b/", "127.0.0.1:1/cat.png"):
        refused(f"http://{host}", "cannot be fetched")
    for link in (
        "ftp://127.0.0.1/cat.png",
        "file:///etc/passwd",
        "data:image/png;base64,AA",
        "blob:x",
    ):
        refused(link, "http")
    assert "secret" not in refused("http://me:secret@127.0.0.1/cat.png", "http")


@pytest.fixture
def public(monkeypatch):
    """public.example stands for a public server, though it is on loopback."""
    ask = socket.getaddrinfo

    def getaddrinfo(host, port, *args, **kwargs):
        if port is None and host == "public.example":
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("93.184.216.34", 0))]
        return ask(host.replace("public.example", "127.0.0.1"), port, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return lambda server: server.url.replace("127.0.0.1", "public.example")


@pytest.mark.parametrize(
    "host", ["localhost", "2130706433", "127.0.0.1\\.public.example", "[::ffff:7f00:1]"]
)
def test_a_public_server_does_not_lead_to_private_ones(public, host):
    with Server(reply(PNG)) as private:
        link = private.url.replace("127.0.0.1", host)
        with Server(redirect(link)) as outside, Server(redirect(public(outside))) as inside:
            refused(public(outside), "private")
            refused(inside.url, "private")  # not through another one either
        assert private.requests == []
        with Server(redirect(private.url)) as inside:
            assert np.array_equal(load_image(inside.url), NOISE)  # the reader's own server may
    with Server(redirect("/again"), reply(PNG)) as outside:
        assert np.array_equal(load_image(public(outside)), NOISE)


@pytest.mark.parametrize("name", ["HTTP_PROXY", "all_proxy"])
def test_a_proxy_is_used_for_other_computers_only_and_no_password_is_sent(
    name, tmp_path, monkeypatch
):
    (tmp_path / "netrc").write_text("default login me password secret\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    with Server(reply(PNG)) as proxy, Server(redirect("/again"), reply(PNG)) as here:
        load_image(here.url)
        monkeypatch.setenv(name, f"http://{proxy.address}")
        load_image("http://pictures.invalid/cat.png")
        load_image(here.url.replace("127.0.0.1", "localhost"))
        assert [request.split()[1] for request in proxy.requests] == [
            "http://pictures.invalid/cat.png"
        ]
        assert len(here.requests) == 3
        assert not any(
            "authorization" in request.lower() for request in here.requests + proxy.requests
        )


def test_serve_folder_serves_and_stops(tmp_path, capfd):
    (tmp_path / "open").mkdir()
    (tmp_path / "secret.png").write_bytes(PNG)
    (tmp_path / "open" / "a cat.png").write_bytes(PNG)
    (tmp_path / "open" / "large").write_bytes(PNG + bytes(30_000_000))
    with serve_folder(tmp_path / "open") as link:
        assert link.startswith("http://127.0.0.1:")
        for name in ("a cat.png", "a%20cat.png"):
            assert np.array_equal(load_image(f"{link}/{name}"), NOISE)
        refused(f"{link}/missing.png", "404")
        refused(f"{link}/%2e%2e/secret.png", "404")
        refused(f"{link}/large", "10 MB")  # hangs up in the middle
        assert np.array_equal(load_image(f"{link}/a cat.png"), NOISE)
    assert capfd.readouterr() == ("", "")
    refused(f"{link}/a cat.png", "cannot be fetched")


def test_paths_bytes_and_pil_images(tmp_path, monkeypatch):
    (tmp_path / "a cat.png").write_bytes(PNG)
    path = tmp_path / "a cat.png"
    for source in (path, str(path), PNG, bytearray(PNG), memoryview(PNG), NOISE_IMAGE):
        assert np.array_equal(load_image(source), NOISE)
    monkeypatch.chdir(tmp_path)
    for name in ("data", "C:\\cat.png", "http:cat.png"):  # no links
        refused(name, "no picture file")
    for source in (None, 3, NOISE, [PNG], BytesIO(PNG)):
        refused(source, "a path, a link, bytes or a PIL image")


class Recorder(nn.Module):
    """A network that notes what it gets; its outputs are 0, 1, 2 for every picture."""

    def __init__(self, dtype=torch.float32) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(3, dtype=dtype))
        self.frozen = nn.Sequential(nn.BatchNorm2d(3), nn.Dropout())

    def forward(self, batch):
        self.batch, self.modes = batch.clone(), [module.training for module in self.modules()]
        self.grad = torch.is_grad_enabled()
        return torch.arange(3, dtype=batch.dtype).expand(len(batch), -1) + self.weight


def data_set(channels=3, side=4) -> ImageSet:
    images = torch.randint(256, (2, channels, side, side), dtype=torch.uint8)
    mean, std = (0.5, 0.4, 0.3)[:channels], (0.2, 0.3, 0.4)[:channels]
    return ImageSet(images, torch.tensor([0, 2]), ("cat", "dog", "frog"), "Three", mean, std)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [None, 4, 5, 13])
def test_a_picture_goes_the_way_of_the_training_pictures(channels, size):
    net, images = Recorder(), data_set(channels)
    pixels = images.images[1].permute(1, 2, 0).squeeze(-1).numpy()
    result = predict(net, Image.fromarray(pixels), images, size)
    expected = list(Batches(images, 1, resize=size, device="cpu"))[1][0]
    assert torch.equal(net.batch, expected)
    assert np.array_equal(result.seen, pixels)  # already the right size: the very same pixels
    assert result.classes == ("cat", "dog", "frog")
    assert result.probabilities.dtype == np.float32
    assert np.allclose(result.probabilities, np.exp([0, 1, 2]) / np.exp([0, 1, 2]).sum(), atol=1e-6)


def test_a_large_picture_is_shrunk_to_the_data_sets_size_before_it_is_enlarged():
    net, again, images = Recorder(), Recorder(torch.float64), data_set()
    seen = predict(net, Image.fromarray(NOISE).resize((300, 200)), images, 16).seen
    assert seen.size == (4, 4)
    predict(again, seen, images, 16)  # in the network's own number type
    assert torch.equal(net.batch.double(), again.batch)


@pytest.mark.parametrize(("invert", "value"), [(False, 54), (True, 201)])
def test_one_channel_and_invert(invert, value):
    net, image = Recorder(), Image.new("RGB", (9, 9), (180, 0, 0))  # 180 * 0.299 = 54
    assert np.array_equal(
        predict(net, image, data_set(1), invert=invert).seen, np.full((4, 4), value)
    )
    assert torch.allclose(net.batch, torch.full((1, 1, 4, 4), (value / 255 - 0.5) / 0.2), atol=1e-5)


def test_predict_leaves_the_network_as_it_was():
    net = Recorder().train()
    net.frozen.eval()
    predict(net, NOISE_IMAGE, data_set())
    assert not any(net.modes)
    assert net.grad is False
    assert [part.training for part in net.modules()] == [True, False, False, False]
    for wrong in (nn.Linear(48, 7), nn.Linear(12, 3)):  # seven outputs; another size
        net = nn.Sequential(nn.Flatten(), wrong).train()
        with pytest.raises(ValueError, match="network"):
            predict(net, NOISE_IMAGE, data_set())
        assert all(part.training for part in net.modules())


class Full(nn.Module):
    """A network for which there is no room."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def forward(self, batch):
        raise self.error


def test_a_full_memory_is_told_as_such_and_not_as_a_wrong_size():
    full = (
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nMore."),
        RuntimeError("MPS backend out of memory (MPS allocated: 9 GB)."),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried ..."),
    )
    for error in full:
        with pytest.raises(MemoryError, match="The memory of cpu is full: stop") as caught:
            predict(Full(error), NOISE_IMAGE, data_set())
        assert len(str(caught.value).splitlines()) == 1
    with pytest.raises(ValueError, match="size="):
        predict(Full(RuntimeError("mat1 and mat2")), NOISE_IMAGE, data_set())
