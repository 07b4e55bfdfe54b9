"""What the emulator's tests need: tokens signed by hand, and a bare MQTT client over TLS.

Shares no code with the emulator: what it makes is what the protocol page says.
"""

import base64
import hashlib
import hmac
import socket
import ssl
import struct
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:  # what only makes packets and tokens loads no server
    from firstlight.emulator.running import RunningAzure

REGISTER = "$dps/registrations/PUT/iotdps-register/?$rid="
POLL = "$dps/registrations/GET/iotdps-get-operationstatus/?$rid="
RESULTS = "$dps/registrations/res/#"
FAR = 4_000_000_000  # an expiry beyond every test's clock
PATIENCE_S = 10.0


def sign(key_b64: str, text: str) -> str:
    digest = hmac.new(base64.b64decode(key_b64), text.encode(), hashlib.sha256).digest()
    return base64.b64encode(digest).decode()


def token(resource: str, key_b64: str, se: int = FAR, skn: str | None = "registration") -> str:
    """A token as protocol.md 1.4 says, percent-encoded as the Python SDK does."""
    sr = quote(resource, safe="")
    sig = quote(sign(key_b64, sr + "\n" + str(se)), safe="")
    text = f"SharedAccessSignature sr={sr}&sig={sig}&se={se}"
    return text if skn is None else f"{text}&skn={skn}"


def text(value: str) -> bytes:
    raw = value.encode()
    return struct.pack("!H", len(raw)) + raw


def packet(first: int, body: bytes) -> bytes:
    length, head = len(body), bytearray([first])
    while True:
        length, low = length >> 7, length & 0x7F
        head.append(low | (0x80 if length else 0))
        if not length:
            return bytes(head) + body


def connect(
    client_id: str,
    user: str,
    password: str | None,
    keepalive_s: int = 60,
    clean: bool = True,
) -> bytes:
    flags = 0x80 | (password is not None) << 6 | clean << 1
    head = text("MQTT") + struct.pack("!BBH", 4, flags, keepalive_s)
    secret = b"" if password is None else text(password)
    return packet(0x10, head + text(client_id) + text(user) + secret)


def subscribe(topic_filter: str, qos: int = 1) -> bytes:
    return packet(0x82, b"\0\1" + text(topic_filter) + bytes([qos]))


def unsubscribe(topic_filter: str) -> bytes:
    return packet(0xA2, b"\0\2" + text(topic_filter))


def puback(packet_id: int) -> bytes:
    return packet(0x40, struct.pack("!H", packet_id))


def publish(topic: str, payload: bytes = b"", qos: int = 1, retain: bool = False) -> bytes:
    packet_id = b"\0\x07" if qos else b""
    return packet(0x30 | qos << 1 | retain, text(topic) + packet_id + payload)


class Peer:
    """A TLS connection to the emulator's MQTT port; closes itself as a context.

    tls: how it is made, with a client's certificate or not.
    """

    def __init__(self, azure: "RunningAzure", tls: ssl.SSLContext | None = None) -> None:
        context = tls or ssl.create_default_context(cafile=str(azure.root_pem))
        raw = socket.create_connection((azure.host, azure.mqtt_port), PATIENCE_S)
        self.socket = context.wrap_socket(raw, server_hostname="localhost")

    def __enter__(self) -> "Peer":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def read(self) -> tuple[int, bytes]:
        """One packet: its first byte and its body; (0, b"") once the server has closed."""
        first = self._exactly(1)
        if not first:
            return 0, b""
        length = shift = 0
        while True:
            byte = self._exactly(1)[0]
            length |= (byte & 0x7F) << shift
            shift += 7
            if not byte & 0x80:
                return first[0], self._exactly(length)

    def read_message(self) -> tuple[str, bytes]:
        """The next PUBLISH: topic and payload; other packets are passed over."""
        while True:
            first, body = self.read()
            assert first, "the server closed the connection"
            if first >> 4 == 3:
                end = 2 + struct.unpack("!H", body[:2])[0]
                return body[2:end].decode(), body[end + (2 if first & 6 else 0) :]

    def is_closed_by_server(self) -> bool:
        """Whether the server ends the connection; whatever it says before is passed over."""
        while self.read()[0]:
            pass
        return True

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            try:
                piece = self.socket.recv(count - len(data))
            except (ConnectionError, ssl.SSLError):
                piece = b""
            if not piece:
                return b""
            data += piece
        return data


def join_hub(
    azure: "RunningAzure",
    device_id: str,
    key_b64: str,
    se: int = FAR,
    clean: bool = True,
    present: bool = False,
) -> Peer:
    """A connected device of the hub `localhost`. present: whether an older session must go on."""
    peer = Peer(azure)
    user = f"localhost/{device_id}/?api-version=2021-04-12"
    password = token(f"localhost/devices/{device_id}", key_b64, se, None)
    greeting = connect(device_id, user, password, clean=clean)
    return _answered(peer, (greeting, (0x20, bytes([present, 0]))))


def join_dps(azure: "RunningAzure", registration_id: str, key_b64: str) -> Peer:
    """A device connected to DPS and subscribed to its answers."""
    peer = Peer(azure)
    resource = f"{azure.id_scope}/registrations/{registration_id}"
    user = f"{resource}/api-version=2019-03-31"
    greeting = connect(registration_id, user, token(resource, key_b64))
    return _answered(peer, (greeting, (0x20, b"\0\0")), (subscribe(RESULTS), (0x90, b"\0\1\1")))


def _answered(peer: Peer, *steps: tuple[bytes, tuple[int, bytes]]) -> Peer:
    """Send each packet and read its answer; if it is another, nothing stays open."""
    try:
        for data, expected in steps:
            peer.send(data)
            assert peer.read() == expected
    except BaseException:
        peer.socket.close()
        raise
    return peer
