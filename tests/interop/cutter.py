"""A proxy before a PostgreSQL that delivers a COMMIT, and cuts the line before its answer."""

import socket
import threading
from pathlib import Path

_PATIENCE_S = 20.0


class Cutter:
    """url_part: what names the proxy in a URL. armed: the next COMMIT's answer will be lost."""

    def __init__(self, server: Path) -> None:
        self._server = str(server / ".s.PGSQL.5432")
        self._door = socket.create_server(("127.0.0.1", 0))
        self._door.settimeout(_PATIENCE_S)
        self.armed = False
        self.cut = 0
        self.url_part = f"127.0.0.1:{self._door.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._answer)]
        self._threads[0].start()

    def close(self) -> None:
        """Take no more calls, and wait for the ends of those there are."""
        self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()
        for thread in self._threads:
            thread.join(_PATIENCE_S)

    def _answer(self) -> None:
        while True:
            try:
                client, _ = self._door.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            server.connect(self._server)
            for end in (client, server):
                end.settimeout(_PATIENCE_S)
            for work in (self._up, self._down):
                thread = threading.Thread(target=work, args=(client, server))
                self._threads.append(thread)
                thread.start()

    def _up(self, client: socket.socket, server: socket.socket) -> None:
        """From the client to the server."""
        with client, server:
            while data := _read(client):
                if self.armed and b"COMMIT" in data:
                    self.armed, self.cut = False, self.cut + 1
                    client.shutdown(socket.SHUT_RDWR)  # before the server can have answered
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)
            _read(server)  # until it is done

    def _down(self, client: socket.socket, server: socket.socket) -> None:
        while data := _read(server):
            try:
                client.sendall(data)
            except OSError:
                return
        _end(client)


def _read(end: socket.socket) -> bytes:
    try:
        return end.recv(65536)
    except OSError:
        return b""


def _end(end: socket.socket) -> None:
    try:
        end.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
