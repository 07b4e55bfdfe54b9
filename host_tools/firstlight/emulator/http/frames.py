"""A client's WebSocket frames (RFC 6455, section 5.2), followed beside aiohttp, which reads them.

Pure. Sees two things that aiohttp does not: a frame without a mask, which a server must refuse
(section 5.1), and that a message has begun and does not end.

    82 85 37fa213d 7f9f4d5158      the last frame of a binary message of 5 bytes, masked
"""

_IS_LAST, _CONTROL = 0x80, 0x08
_IS_MASKED, _LENGTH = 0x80, 0x7F
_MORE_LENGTH = {126: 2, 127: 8}
_MASK_BYTES = 4


class Frames:
    """A stream of frames. ended: how many messages have, and control frames between them."""

    def __init__(self) -> None:
        self.ended = 0
        self._head = bytearray()
        self._left = 0  # of a payload
        self._is_fragmented = False

    @property
    def is_midway(self) -> bool:
        """Whether a frame, or a message of several, has begun and not ended."""
        return bool(self._head) or self._left > 0 or self._is_fragmented

    def feed(self, data: bytes) -> bool:
        """Follow the next bytes; whether all frames that began are masked."""
        at = 0
        while at < len(data):
            if self._left:
                payload = min(self._left, len(data) - at)
                self._left -= payload
                at += payload
                self._count()
                continue
            self._head.append(data[at])
            at += 1
            if not self._read_head():
                return False
        return True

    def _read_head(self) -> bool:
        """Take a frame's head once it is all there; False if it has no mask."""
        head = self._head
        if len(head) < 2:
            return True
        if not head[1] & _IS_MASKED:
            return False
        more = _MORE_LENGTH.get(head[1] & _LENGTH, 0)
        if len(head) == 2 + more + _MASK_BYTES:
            self._left = int.from_bytes(head[2 : 2 + more], "big") if more else head[1] & _LENGTH
            if not head[0] & _CONTROL:  # a control frame may come in the midst of a message
                self._is_fragmented = not head[0] & _IS_LAST
            head.clear()
            self._count()
        return True

    def _count(self) -> None:
        self.ended += not self.is_midway
