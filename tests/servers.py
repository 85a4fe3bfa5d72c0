"""HTTP servers on loopback that say whatever a test wants, byte by byte."""

import contextlib
import re
import socket
import threading
from collections.abc import Callable

import pytest


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Import it into a test file: no proxy of this machine stands before its servers then."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


class Server:
    """Each request is answered by the next of `answers`, the last one again and again.

    An answer is bytes that are sent as they are, or a function of (server, send, first byte asked
    for or None).
    """

    def __init__(self, *answers: bytes | Callable) -> None:
        self.answers = list(answers)
        self.requests: list[str] = []  # head of each request
        self.stopping = threading.Event()
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.socket.getsockname()[1]}"
        self.url = f"http://{self.address}/file.bin"

    def __enter__(self) -> "Server":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_) -> None:
        self.stopping.set()
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)  # wakes accept()
        self.socket.close()

    @property
    def ranges(self) -> list[int | None]:
        """The first byte that each request asks for."""
        found = [re.search(r"(?i)\r\nrange: bytes=(\d+)-", request) for request in self.requests]
        return [int(match[1]) if match else None for match in found]

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(
                    target=self._serve, args=(self.socket.accept()[0],), daemon=True
                ).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(OSError), connection:
            head = b""
            while b"\r\n\r\n" not in head:
                data = connection.recv(65536)
                if not data:
                    return
                head += data
            self.requests.append(head.decode("latin1"))
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            if isinstance(answer, bytes):
                connection.sendall(answer)
            else:
                answer(self, connection.sendall, self.ranges[-1])


def reply(body: bytes = b"", status: str = "200 OK", **headers: object) -> bytes:
    """A whole HTTP answer; `Content_Type="x"` gives that header, None leaves one out."""
    lines = {"Content-Length": len(body), "Connection": "close"}
    lines |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items() if value is not None)
    return f"HTTP/1.1 {status}\r\n{head}\r\n".encode() + body


def forever(start: bytes, part: bytes, seconds: float = 0.0) -> Callable:
    """An answer that goes on and on: `part` again and again, with a pause after each."""

    def answer(server: Server, send: Callable, first: int | None) -> None:
        send(start)
        while not server.stopping.wait(seconds):
            send(part)

    return answer


def silent(server: Server, send: Callable, first: int | None) -> None:
    server.stopping.wait(60)
