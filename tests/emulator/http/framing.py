"""A WebSocket client by hand (RFC 6455), blocking, over TLS; shares no code with the emulator.

Its masks are zero, which the standard allows.
"""

import socket
import ssl
import struct

from firstlight.emulator.running import RunningAzure
from tests.emulator.peers import PATIENCE_S

PATH = "/$iothub/websocket?iothub-no-client-cert=true"
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def frame(data: bytes, opcode: int = BINARY, is_last: bool = True) -> bytes:
    """A client's frame."""
    head = struct.pack("!BBQ", opcode | (0x80 if is_last else 0), 0xFF, len(data))
    if len(data) < 126:
        head = struct.pack("!BB", opcode | (0x80 if is_last else 0), 0x80 | len(data))
    return head + bytes(4) + data


class Framed:
    """A WebSocket at the emulator; closes itself as a context. status: HTTP's, 101 for one."""

    def __init__(
        self,
        azure: RunningAzure,
        protocols: str = "mqtt",
        path: str = PATH,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        context = tls or ssl.create_default_context(cafile=str(azure.root_pem))
        plain = socket.create_connection((azure.host, azure.https_port), PATIENCE_S)
        self.socket = context.wrap_socket(plain, server_hostname="localhost")
        self._stream = self.socket.makefile("rb")
        offer = f"Sec-WebSocket-Protocol: {protocols}\r\n" if protocols else ""
        self.socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
            f"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n{offer}"
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n".encode()
        )
        self.status = int(self._stream.readline().split()[1])
        self.headers: dict[str, str] = {}
        while line := self._stream.readline().strip():
            name, _, value = line.decode().partition(": ")
            self.headers[name.lower()] = value

    def __enter__(self) -> "Framed":
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()
        self.socket.close()

    def send(self, data: bytes, opcode: int = BINARY) -> None:
        self.socket.sendall(frame(data, opcode))

    def read_frame(self) -> tuple[int, bytes]:
        """(opcode, data); (0, b"") once TCP has ended."""
        try:
            head = self._stream.read(2)
            if len(head) < 2:
                return 0, b""
            size = head[1]
            if size >= 126:
                form = "!H" if size == 126 else "!Q"
                (size,) = struct.unpack(form, self._stream.read(struct.calcsize(form)))
            return head[0] & 0x0F, self._stream.read(size)
        except (ConnectionError, ssl.SSLError):
            return 0, b""

    def read(self, count: int) -> bytes:
        """So many bytes, whatever frames they come in."""
        data = b""
        while len(data) < count:
            opcode, piece = self.read_frame()
            assert opcode == BINARY, f"a frame of type {opcode}: {piece!r}"
            data += piece
        return data

    def until_closed(self) -> tuple[bytes, int | None]:
        """What still comes, and the code of the close frame, None if there is none."""
        data = b""
        while True:
            opcode, piece = self.read_frame()
            if opcode == BINARY:
                data += piece
            elif opcode == CLOSE:
                return data, struct.unpack("!H", piece[:2])[0] if piece else 1005
            elif not opcode:
                return data, None
