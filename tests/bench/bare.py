"""A TLS server that does nothing but shake hands: what the emulator is compared with.

The emulator's own certificate authority, context and kind of server; serves until it is ended.
Prints one JSON line with its port and its root once it listens.
"""

import asyncio
import json
import socket

from firstlight.emulator.root import Root


class Silent(asyncio.Protocol):
    """A connection to which nothing is said."""


async def serve() -> None:
    """Listen on a free port of loopback, for ever."""
    root = Root()
    door = socket.socket()
    door.bind(("127.0.0.1", 0))
    server = await asyncio.get_running_loop().create_server(
        Silent, sock=door, ssl=root.context(("localhost", "127.0.0.1")), backlog=100
    )
    print(json.dumps({"port": door.getsockname()[1], "root": root.pem}), flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve())
