"""What tests of faults need: a client that sees exactly how a connection ends."""

import socket
import ssl
from collections.abc import Callable

from firstlight.emulator.running import RunningAzure
from tests.emulator.peers import PATIENCE_S, RESULTS, Peer, connect, subscribe, token

# How a connection ended, or that it has not.
CLOSED, FIN, RESET, SILENT = "close", "fin", "reset", "silent"


class Line:
    """TLS over a socket of its own; unlike ssl's, it tells a reset from TCP's end."""

    def __init__(self, raw: socket.socket, context: ssl.SSLContext, name: str) -> None:
        self._raw = raw
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_hostname=name)
        self.how = SILENT
        while not self._did(self._tls.do_handshake):
            self._fetch()

    def sendall(self, data: bytes) -> None:
        self._tls.write(data)
        self._raw.sendall(self._out.read())

    def recv(self, most: int) -> bytes:
        """Bytes, or b"" at the end; `how` then says which end it was."""
        found: list[bytes] = []
        while not self._did(lambda: found.append(self._tls.read(most))):
            try:
                self._fetch()
            except ssl.SSLEOFError:
                self.how = FIN
                return b""
            except ConnectionError:
                self.how = RESET
                return b""
        if not found[0]:
            self.how = CLOSED
        return found[0]

    def settimeout(self, patience_s: float) -> None:
        self._raw.settimeout(patience_s)

    def close(self) -> None:
        self._raw.close()

    def _did(self, step: Callable[[], object]) -> bool:
        try:
            step()
        except ssl.SSLWantReadError:
            return False
        finally:
            if self._out.pending:
                self._raw.sendall(self._out.read())
        return True

    def _fetch(self) -> None:
        data = self._raw.recv(65536)
        if not data:
            raise ssl.SSLEOFError(8, "TCP's end")
        self._in.write(data)


class Observer(Peer):
    """A Peer that tells TLS's goodbye from TCP's end and from a reset."""

    socket: Line  # type: ignore[assignment]

    def __init__(
        self,
        azure: RunningAzure,
        name: str = "localhost",
        port: int = 0,
        patience_s: float = PATIENCE_S,
    ) -> None:
        context = ssl.create_default_context(cafile=str(azure.root_pem))
        raw = socket.create_connection((azure.host, port or azure.mqtt_port), patience_s)
        try:
            self.socket = Line(raw, context, name)
        except BaseException:
            raw.close()
            raise

    def __enter__(self) -> "Observer":
        return self

    def rest(self, patience_s: float = PATIENCE_S) -> tuple[bytes, str]:
        """All that still comes, and how it ends."""
        data = b""
        self.socket.settimeout(patience_s)
        try:
            while piece := self.socket.recv(65536):
                data += piece
        except TimeoutError:
            return data, SILENT
        return data, self.socket.how

    def pieces(self, count: int) -> list[bytes]:
        """What each of so many reads gives: a TLS record at most."""
        return [self.socket.recv(65536) for _ in range(count)]


def greeting(azure: RunningAzure, id: str, key_b64: str) -> bytes:
    """A CONNECT to DPS."""
    resource = f"{azure.id_scope}/registrations/{id}"
    return connect(id, f"{resource}/api-version=2019-03-31", token(resource, key_b64))


def at_dps(azure: RunningAzure, id: str = "dev-1") -> Observer:
    """An enrolled device, connected to DPS and subscribed."""
    key = azure.enroll_device(id).keys.primary_b64
    peer = Observer(azure)
    peer.send(greeting(azure, id, key) + subscribe(RESULTS))
    assert peer.read() == (0x20, b"\0\0")
    assert peer.read() == (0x90, b"\0\1\1")
    return peer


def before_tls(azure: RunningAzure, name: str = "localhost", port: int = 0) -> str:
    """What a client's TLS handshake comes to: ok, or why it fails."""
    try:
        Observer(azure, name, port).socket.close()
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    except ssl.SSLEOFError:
        return FIN
    except ssl.SSLError as error:
        return error.reason or "?"
    except ConnectionResetError:
        return RESET
    return "ok"
