"""TLS on a board over no socket: the part that its proof and its doctor's errand share; pure.

A text of Python for MicroPython, whose TLS works over any stream. This stream has what a step
brought, and keeps what it says for the answer; it never waits, and knows nothing of who asks.
"""

# _wired gives back the TLS socket, and two bytearrays: what came, to fill, and what it says. _tell
# prints and empties one, a line of base64: in pieces, for a chain is long beside a small heap.
WIRED = """\
def _wired(context, host):
    import io
    came, said = bytearray(), bytearray()
    class Wire(io.IOBase):
        def readinto(self, room):
            n = min(len(room), len(came))
            if not n:
                return None
            room[:n] = came[:n]
            came[:n] = b''
            return n
        def write(self, data):
            said.extend(data)
            return len(data)
        def ioctl(self, request, argument):
            return 0
    tls = context.wrap_socket(Wire(), server_hostname=host, do_handshake_on_connect=False)
    return tls, came, said
def _tell(data):
    from binascii import b2a_base64
    for at in range(0, len(data), 192):
        print(b2a_base64(data[at:at + 192]).decode().strip(), end='')
    print()
    data[:] = b''
"""
