"""Listening sockets that let in no more than so many at once, counted from TCP's accept."""

import resource
import socket
from collections.abc import Callable
from typing import Any

_OWN_FILES = 64  # what the process needs besides connections
_MAX_HTTPS = 2048  # MQTT over WebSocket among them
_BACKLOG = 100


class Room:
    """How many more connections there is room for, at all the doors that share it."""

    def __init__(self, left: int) -> None:
        self.left = left


class Door(socket.socket):
    """A listening socket that lets in so many at once, counted from accept to the last close.

    Raises OSError if the address cannot be had; port 0 is any free one.
    """

    def __init__(
        self, room: Room, turned_away: Callable[[str], None], address: tuple[str, int]
    ) -> None:
        super().__init__(socket.AF_INET, socket.SOCK_STREAM)
        self._turned_away = turned_away
        self._room = room
        try:
            self.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.bind(address)
            self.listen(_BACKLOG)
        except OSError:
            self.close()
            raise

    def accept(self) -> tuple[socket.socket, Any]:
        """The next connection; raise ConnectionAbortedError when it is turned away."""
        plain, address = super().accept()
        if self._room.left <= 0:
            plain.close()
            self._turned_away(f"{address[0]}:{address[1]}")
            raise ConnectionAbortedError
        return _Guest(plain.detach(), self._room), address


class _Guest(socket.socket):
    """A connection, which gives its place back."""

    def __init__(self, descriptor: int, room: Room) -> None:
        super().__init__(socket.AF_INET, socket.SOCK_STREAM, 0, descriptor)
        self._room = room
        room.left -= 1

    def close(self) -> None:
        """Close; the first time makes room."""
        if self.fileno() >= 0:
            self._room.left += 1
        super().close()


def rooms(wanted: int) -> tuple[int, int]:
    """How many connections MQTT and HTTPS may have, within what the system lets us open.

    Raises the process's soft limit on open files as far as is wanted and allowed.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    https = min(wanted, _MAX_HTTPS)
    need = wanted + https + _OWN_FILES
    if resource.RLIM_INFINITY != soft < need:
        soft = need if hard == resource.RLIM_INFINITY else min(need, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    if soft == resource.RLIM_INFINITY:
        return wanted, https
    left = max(soft - _OWN_FILES, 2)
    https = min(https, max(left // 8, 1))
    return min(wanted, left - https), https
