"""Listening sockets that let in no more than so many at once, counted from TCP's accept."""

import resource
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

_OWN_FILES = 64  # what the process needs besides connections
_MAX_HTTPS = 256
_Start = Callable[[socket.socket, ssl.SSLContext], Awaitable[int]]


class Door(socket.socket):
    """A listening socket that lets in so many at once, counted from accept to the last close."""

    def __init__(self, room: int, turned_away: Callable[[str], None]) -> None:
        super().__init__(socket.AF_INET, socket.SOCK_STREAM)
        self._turned_away = turned_away
        self.room = room

    def accept(self) -> tuple[socket.socket, Any]:
        """The next connection; raise ConnectionAbortedError when it is turned away."""
        plain, address = super().accept()
        if self.room <= 0:
            plain.close()
            self._turned_away(f"{address[0]}:{address[1]}")
            raise ConnectionAbortedError
        return _Guest(plain.detach(), self), address


class _Guest(socket.socket):
    """A connection, which gives its place back."""

    def __init__(self, descriptor: int, door: Door) -> None:
        super().__init__(socket.AF_INET, socket.SOCK_STREAM, 0, descriptor)
        self._door = door
        door.room -= 1

    def close(self) -> None:
        """Close; the first time makes room."""
        if self.fileno() >= 0:
            self._door.room += 1
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
    https = min(https, left // 2)
    return min(wanted, left - https), https


async def enter(
    door: Door, address: tuple[str, int], context: ssl.SSLContext, start: _Start
) -> int:
    """Start a server at a door; return the port. Raise OSError if it cannot be had."""
    try:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        door.bind(address)
        return await start(door, context)
    except OSError:
        door.close()
        raise
