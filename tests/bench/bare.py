"""A TLS server that does nothing but shake hands: what the emulator is compared with.

Python's own TLS, as the emulator's in all else; serves until it is ended.
Prints one JSON line with its port and its root once it listens.
"""

import asyncio
import json
import socket
import ssl

import trustme


class Silent(asyncio.Protocol):
    """A connection to which nothing is said."""


async def serve() -> None:
    """Listen on a free port of loopback, for ever."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
    authority.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    door = socket.socket()
    door.bind(("127.0.0.1", 0))
    server = await asyncio.get_running_loop().create_server(
        Silent, sock=door, ssl=context, backlog=100
    )
    print(
        json.dumps({"port": door.getsockname()[1], "root": authority.cert_pem.bytes().decode()}),
        flush=True,
    )
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve())
