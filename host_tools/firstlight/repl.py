"""The raw REPL of a board on a serial port, through mpremote's own transport.

Never waits without a limit, and never lets what was sent (it may hold a key) into an error's text:
of a board's traceback only the exception's name and errno are told.
"""

import hashlib
import json
import re
import time
from binascii import b2a_base64
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from mpremote.transport import TransportExecError

from .errors import BoardError, UsageError
from .serialport import TROUBLE, open_port

_SEND_S = 5.0  # for the board to take a statement
_CHUNK = 768  # bytes of a file in one statement: 1 KB of base64
_LINE = re.compile(r"([A-Za-z_][\w.]{0,60})(?:: \[Errno (-?\d{1,6})\]| ?: ?(-?\d{1,6})$|$|:)")
_SHOWN = 100  # characters of what a board says of itself
_FULL = 28  # errno of ENOSPC, the same on every port (micropython/py/mperrno.h)
_DIGEST = re.compile("([0-9a-f]{64})?")
_PATH = re.compile(r"/[A-Za-z0-9_.\-/]{0,120}")
# What the statements of a session share on the board, told it once: each is a round trip.
_WORDS = """\
import hashlib, os
from binascii import a2b_base64 as _a, hexlify as _x
def _h(p):
    try:
        if os.stat(p)[0] & 0x4000:
            return ''
        f = open(p, 'rb')
    except OSError:
        return ''
    h = hashlib.sha256()
    b = bytearray(512)
    n = f.readinto(b)
    while n:
        h.update(memoryview(b)[:n])
        n = f.readinto(b)
    f.close()
    return _x(h.digest()).decode()
def _end(p, d):
    _f.close()
    if _h(p + '.new') != d:
        print('torn')
        return
    os.rename(p + '.new', p)
    if hasattr(os, 'sync'):
        os.sync()
"""


@dataclass(frozen=True)
class Implementation:
    """What a board says of itself. mpy: sys.implementation._mpy, 0 if it loads no .mpy files."""

    name: str
    version: tuple[int, int, int]
    mpy: int
    machine: str
    platform: str


class BoardExecError(BoardError):
    """The board raised. kind: the exception's name; number: its errno, if it has one."""

    def __init__(self, kind: str, number: int | None) -> None:
        self.kind, self.number = kind, number
        shown = kind if number is None else f"{kind} {number}"
        if number == _FULL:
            shown = "its file system is full"
        super().__init__(f"the board could not do what it was told: {shown}")


class Repl:
    """A board, held for as long as the `with` lasts. Every failure is a BoardError."""

    def __init__(self, port: str, timeout_s: float = 10.0, patience_s: float = 8.0) -> None:
        """port: a device path, or a pyserial URL. timeout_s: for one statement; patience_s: for
        the board's first answer.
        """
        self.port, self._timeout_s, self._patience_s = port, timeout_s, patience_s
        self._transport: Any = None
        self._is_taught = False
        self._folders: set[str] = set()  # that are there

    def __enter__(self) -> "Repl":
        self._is_taught, self._folders = False, set()
        self._transport = open_port(self.port)
        try:
            self._guard(
                lambda: self._transport.way_in(self._patience_s),
                f"nothing on {self.port} answers as MicroPython",
            )
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._transport is not None:
            with suppress(BoardError):
                self.exit()
        self._close()

    def exec(self, code: str, timeout_s: float | None = None) -> bytes:
        """Run code on the board; return what it printed, at most 64 KB.

        Raise BoardExecError if it raised there, BoardError if no answer came in timeout_s seconds.
        """
        limit_s = self._timeout_s if timeout_s is None else timeout_s

        def run() -> tuple[bytes, bytes]:
            self._transport.deadline = time.monotonic() + min(limit_s, _SEND_S)
            self._transport.exec_raw_no_follow(code)
            self._transport.deadline = time.monotonic() + limit_s
            out: tuple[bytes, bytes] = self._transport.follow(None)
            return out

        printed, raised = self._guard(run, f"the board on {self.port} stopped answering")
        if raised:
            raise _board_error(raised)
        return bytes(printed)

    def implementation(self) -> Implementation:
        """Ask the board what it is."""
        code = (
            "import sys, json\n_i = sys.implementation\n"
            "print(json.dumps([_i[0], list(_i[1][:3]), getattr(_i, '_mpy', 0),"
            " getattr(_i, '_machine', ''), sys.platform]))"
        )
        try:
            name, version, mpy, machine, platform = json.loads(self.exec(code))
            major, minor, patch = (int(part) for part in version)
            texts = [_plain(text) for text in (name, machine, platform)]
            return Implementation(texts[0], (major, minor, patch), int(mpy), *texts[1:])
        except (ValueError, TypeError, OverflowError, RecursionError):
            raise BoardError(f"the board on {self.port} does not say what it is") from None

    def unique_id(self) -> bytes:
        """The chip's id, 1 to 32 bytes."""
        text = self.exec(
            "from machine import unique_id as _u\nfrom binascii import hexlify as _x\n"
            "print(_x(_u()).decode())"
        ).strip()
        if not re.fullmatch(rb"([0-9a-f]{2}){1,32}", text):
            raise BoardError(f"the board on {self.port} does not tell its id")
        return bytes.fromhex(text.decode())

    def free_bytes(self) -> int:
        """Room left in the board's file system. (A full littlefs counts below zero.)"""
        text = self.exec(
            "import os\n_s = os.statvfs('/')\nprint(_s[0] * _s[3] if _s[3] <= _s[2] else 0)"
        ).strip()
        if not re.fullmatch(rb"\d{1,12}", text):
            raise BoardError(f"the board on {self.port} does not tell how much room it has")
        return int(text)

    def hashes(self, paths: Iterable[str]) -> dict[str, str]:
        """SHA-256 in hex of each file on the board; "" for one that is not there."""
        wanted = [_checked(path) for path in paths]
        self._teach()
        code = f"for _p in {wanted!r}:\n    print(_h(_p))"
        lines = self.exec(code, self._timeout_s * 3).decode("ascii", "replace")
        found = lines.replace("\r", "").split("\n")[: len(wanted)]
        if len(found) != len(wanted) or not all(_DIGEST.fullmatch(one) for one in found):
            raise BoardError(f"the board on {self.port} does not tell what files it has")
        return dict(zip(wanted, found, strict=True))

    def list_folder(self, path: str) -> list[str]:
        """Names in a folder; none if there is no such folder."""
        code = (
            "import os, json\ntry:\n    _n = os.listdir(%r)\nexcept OSError:\n    _n = []\n"
            "print(json.dumps(_n))"
        )
        try:
            found = json.loads(self.exec(code % _checked(path)))
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, list):
            raise BoardError(f"the board on {self.port} does not list {path}")
        return [name for name in found if isinstance(name, str)]

    def write_file(self, path: str, data: bytes, *, differs: bool = False) -> bool:
        """Put data at path, all or nothing, with its folders. Return False if it was there.

        It is written beside, read back as a hash, and then takes the old file's place. differs:
        what is there is known to be another; it is not asked for.
        """
        _checked(path)
        digest = hashlib.sha256(data).hexdigest()
        if not differs and self.hashes([path])[path] == digest:
            return False
        self._teach()
        self._make_folders(path)
        try:
            answer = self._send(path, data, digest)
        except BoardExecError:
            self._drop(path + ".new")
            raise
        if answer.strip():
            self._drop(path + ".new")
            raise BoardError(f"{path} did not arrive as it was sent")
        return True

    def replace_file(self, source: str, target: str) -> bool:
        """Move source over target in one step; False if target was the same already."""
        there = self.hashes([source, target])
        if there[source] == there[target]:
            self.remove(source)
            return False
        self.exec(
            f"import os\nos.rename({_checked(source)!r}, {_checked(target)!r})\n"
            "if hasattr(os, 'sync'): os.sync()"
        )
        return True

    def remove(self, path: str) -> None:
        """Delete a file; none there: do nothing."""
        self.exec(f"import os\ntry: os.remove({_checked(path)!r})\nexcept OSError: pass")

    def exit(self) -> None:
        """Leave the board in its friendly REPL."""
        self._guard(self._transport.exit_raw_repl, f"the board on {self.port} went away")

    def reset(self) -> None:
        """Reset the board as its button would, and let go of the port."""
        self._leave("import machine\nmachine.reset()", "reset")

    def bootloader(self) -> None:
        """Send the board into its boot loader, and let go of the port."""
        # Not at once: a USB board's answer is to arrive before the board is gone.
        code = "import machine, time\ntime.sleep_ms(100)\nmachine.bootloader()"
        self._leave(code, "way to its boot loader")

    def _leave(self, code: str, what: str) -> None:
        """Run what the board does not come back from."""

        def run() -> None:
            self._transport.deadline = time.monotonic() + self._timeout_s
            self._transport.exec_raw_no_follow(code)

        self._guard(run, f"the board on {self.port} did not take the {what}")
        self._close()

    def _teach(self) -> None:
        """Have the board know the words that the session's statements use."""
        if not self._is_taught:
            self.exec(_WORDS)
            self._is_taught = True

    def _make_folders(self, path: str) -> None:
        parts = path.strip("/").split("/")[:-1]
        folders = ["/" + "/".join(parts[: n + 1]) for n in range(len(parts))]
        if set(folders) - self._folders:
            self.exec(
                f"for _p in {folders!r}:\n    try: os.stat(_p)\n    except OSError: os.mkdir(_p)"
            )
            self._folders |= set(folders)

    def _send(self, path: str, data: bytes, digest: str) -> bytes:
        """Write a file, in as few statements as a board has room for; return what it said."""
        answer, code = b"", f"_f = open({path + '.new'!r}, 'wb')\n"
        last = max(0, len(data) - 1) // _CHUNK * _CHUNK
        try:
            for at in range(0, last + 1, _CHUNK):
                text = b2a_base64(data[at : at + _CHUNK], newline=False).decode()
                code += f"_n = _f.write(_a('{text}'))\n"
                code += f"_end({path!r}, '{digest}')" if at == last else ""
                answer, code = self.exec(code, self._timeout_s * 3), ""
        except BoardExecError:
            with suppress(BoardExecError):
                self.exec("_f.close()")
            raise
        return answer

    def _drop(self, path: str) -> None:
        with suppress(BoardError):
            self.remove(path)

    def _guard(self, run: Callable[[], Any], complaint: str) -> Any:
        """Run one exchange; whatever mpremote or pyserial raise becomes one sentence."""
        if self._transport is None:
            raise BoardError(f"the port {self.port} is closed")
        try:
            return run()
        except TransportExecError as error:
            raise _board_error(str(error.error_output).encode()) from None
        except TROUBLE:
            raise BoardError(complaint) from None

    def _close(self) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            with suppress(*TROUBLE):
                transport.close()


def _checked(path: str) -> str:
    if not _PATH.fullmatch(path) or ".." in path or "//" in path:
        raise UsageError(f"not a path for a file on a board: {path[:64]!r}")
    return path


def _plain(text: object) -> str:
    """What a board says of itself, for people: it may be no board, and a terminal obeys."""
    return "".join(c if c.isprintable() else "?" for c in str(text)[:_SHOWN])


def _board_error(traceback: bytes) -> BoardExecError:
    """The last line of a board's traceback, without its words."""
    lines = traceback.decode("ascii", "replace").strip().splitlines() or [""]
    found = _LINE.match(lines[-1])
    if not found:
        return BoardExecError("an exception", None)
    number = found[2] or found[3]
    return BoardExecError(found[1], int(number) if number else None)
