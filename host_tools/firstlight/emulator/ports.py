"""Listening: one port number for MQTT and some for HTTPS, at every address of a local Azure.

Devices are told a hub's name and keep DPS's port, so a port has the same number at each address.
"""

import errno
from collections.abc import Awaitable, Callable

from OpenSSL import SSL

from ..errors import ToolError
from .doors import Door, Room

Start = Callable[[Door, SSL.Context], Awaitable[int]]
_TRIES = 20


class Listener:
    """Opens the ports of one protocol. turned_away: told of a peer that found no room.

    start: begins to serve at a door; called once for each address and port.
    """

    def __init__(
        self, protocol: str, room: Room, start: Start, turned_away: Callable[[str], None]
    ) -> None:
        self._protocol = protocol
        self._room = room
        self._start = start
        self._turned_away = turned_away

    async def open(self, addresses: tuple[str, ...], port: int, context: SSL.Context) -> int:
        """Serve one port at every address; 0: one that is free at all. Return its number.

        Raise ToolError if it cannot be had.
        """
        tries = 1 if port else _TRIES  # a port that is free here may be taken there
        while (doors := self._doors(addresses, port, is_last=tries == 1)) is None:
            tries -= 1
        for door in doors:
            await self._start(door, context)
        return int(doors[0].getsockname()[1])

    def _doors(self, addresses: tuple[str, ...], port: int, is_last: bool) -> list[Door] | None:
        """A door at each address; None if that cannot be and another try is left."""
        doors: list[Door] = []
        for address in addresses:
            try:
                doors.append(Door(self._room, self._turned_away, (address, port)))
            except OSError as error:
                for door in doors:
                    door.close()
                if is_last or error.errno != errno.EADDRINUSE:
                    raise cannot_serve(self._protocol, address, port, error) from None
                return None
            port = int(doors[0].getsockname()[1])
        return doors


def cannot_serve(protocol: str, address: str, port: int, error: OSError) -> ToolError:
    """One sentence for a port that cannot be had."""
    reason = error.strerror or str(error)
    if error.errno == errno.EADDRINUSE:
        reason = "another program has it; stop that one, or choose another port"
    elif error.errno == errno.EADDRNOTAVAIL:
        reason = "this machine does not have that address; outside Linux 127.0.0.1 alone is there"
    elif error.errno == errno.EACCES:
        reason = "a port below 1024 needs root here, or net.ipv4.ip_unprivileged_port_start=0"
    return ToolError(f"cannot serve {protocol} on {address}:{port}: {reason}")
