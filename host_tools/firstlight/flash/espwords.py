"""esptool's words, understood: how far it is, what it checked, and one sentence when it fails.

Does no I/O. What esptool itself says is shown only where nothing better is known, and then its
last words alone, without the paths that it was given.
"""

import re
from collections.abc import Callable, Sequence

from ..errors import BoardError, ToolError, UsageError
from .pieces import Piece

_KEPT = 40  # lines
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_MAC = re.compile(r"(?:BASE )?MAC:\s+([0-9a-f]{2}(?::[0-9a-f]{2}){5})")
_SIZE = re.compile(r"Detected flash size:\s+(\d{1,4})(KB|MB)")
_CHIP = re.compile(r"Chip type:\s+(\S.*)")
_AT = re.compile(r"Writing at 0x([0-9a-f]{1,8})\s")
_DONE = re.compile(r"Wrote \d+ bytes .*at 0x([0-9a-f]{1,8}) in ")
_LAST_WORDS = re.compile(r"(?:(?:fatal|exception) error occurred|Error): (.+)")
_PATHS = re.compile(r"'[^']*/[^']*'")

# Said, and then it goes on; we do not: what it would write may never run, or never be checked.
_STOPS = re.compile(
    r"This chip doesn't appear to be an|"
    r"^Chip type:.* in Secure Download Mode|Security features enabled"
)

_HOLD = (
    "hold the board's BOOT button, press RESET, let go of BOOT, and try again; "
    "if that does not help, try another cable"
)
# What esptool says, and what the operator is told: the first that fits. {0}, {1}: its groups.
_TELL: tuple[tuple[type[ToolError], str, str], ...] = (
    (
        BoardError,
        r"This chip is (\S+), not (\S+)\. ",
        "an {0} is on {port}, not an {1}: put the right board there, or name this one's kind",
    ),
    (
        BoardError,
        r"doesn't appear to be an? (\S+)",
        "the chip on {port} is not an {0}, nor any that is known: "
        "put the right board there, and check its cable",
    ),
    (
        BoardError,
        r"Could not open .*[\s\S]*(?:Errno (?:2|6|19)\b|FileNotFoundError|Errno 111\b)",
        "there is no port {port}: plug the board in (some cables only charge), and try again",
    ),
    (
        BoardError,
        r"Could not open .*[\s\S]*(?:exclusively lock|Errno 16\b|Access is denied)",
        "{port} is in use by another program: close it (a serial monitor?), and try again",
    ),
    (
        BoardError,
        r"Could not open .*[\s\S]*(?:Errno 13\b|Permission denied)",
        "no permission to open {port}: add this user to the group dialout, "
        "log out and in again, and try again",
    ),
    (
        BoardError,
        r"Could not open ",
        "{port} could not be opened: plug the board in anew, and try again",
    ),
    (
        BoardError,
        r"TX path seems to be down",
        "the board on {port} hears, but its answers do not arrive: try another cable, "
        "then set the board aside",
    ),
    (
        BoardError,
        r"Failed to connect to |Wrong boot mode",
        "no boot loader answers on {port}: " + _HOLD,
    ),
    (
        BoardError,
        r"will not fit in (\d+) bytes of flash",
        "the image needs more flash than the {0} bytes that the board on {port} has: "
        "take an image made for that size, or another board",
    ),
    (
        BoardError,
        r"Secure Boot|Secure Download Mode|secure download mode|[Ss]ecurity features|"
        r"[Ff]lash [Ee]ncryption|Key Manager|manual encrypt",
        "the chip on {port} is locked (secure boot or flash encryption is on), "
        "so it cannot take this image: set the board aside",
    ),
    (
        UsageError,
        r"is not an? (ESP\S+) image|Input does not contain an? (ESP\S+) image",
        "the image is not for the chip on {port}: take the one for this kind of board",
    ),
    (
        UsageError,
        r"requires chip revision (.+?) \(this chip is revision (.+?)\)",
        "the image needs revision {0} of the chip, and the one on {port} is {1}: "
        "take another image, or a newer board",
    ),
    (
        BoardError,
        r"MD5 of file does not match|written flash region is empty|Verification failed",
        "the board on {port} does not hold what was written: flash it again; "
        "if that happens twice, its flash is bad: set the board aside",
    ),
    (
        BoardError,
        r"Unable to verify flash chip|Detecting flash size failed",
        "the chip on {port} does not reach its flash memory: set the board aside",
    ),
    (
        BoardError,
        r"[Ff]ailed to set baud ?rate",
        "{port} does not go that fast: try again with --baud 115200",
    ),
    (
        ToolError,
        r"No module named '?esptool",
        "esptool is not installed here: pip install esptool",
    ),
)
# After it was connected: the board or its cable went away.
_LOST = re.compile(
    r"serial exception|No more data to read|stopped responding|Lost connection|"
    r"Response doesn't match|Packet content transfer stopped|Serial data stream stopped|"
    r"Invalid head of packet|Invalid SLIP escape|Errno 5\b|Timed out|"
    r"Failed to (?:connect|write|start|enter)"
)


class Words:
    """One flashing's account. pieces: what is written, by its offset; say: takes a line."""

    def __init__(self, port: str, pieces: Sequence[Piece], say: Callable[[str], None]) -> None:
        self._port, self._say = port, say
        self._pieces = sorted(pieces, key=lambda piece: piece.offset)
        self._size = sum(len(piece.data) for piece in pieces) or 1
        self._lines: list[str] = []
        self._written = ""  # the name of the piece that was written last
        self._is_connected = self._is_writing = False
        self.chip = ""
        self.mac: bytes | None = None
        self.flash_bytes: int | None = None
        self.done = 0.0  # 0 to 1: of the bytes that are written
        self.checked = 0  # pieces whose MD5 in the flash was the right one
        self.read_back = 0  # pieces that were verified after another start

    def begin(self) -> None:
        """Another call of esptool begins: what the one before said is no longer of interest."""
        self._lines.clear()
        self._is_connected = self._is_writing = False

    def hear(self, raw: str) -> None:
        """Take one line of esptool's. Raises BoardError at one that it should have ended with."""
        line = "".join(c for c in _ESCAPES.sub("", raw) if c.isprintable()).strip()
        if not line:
            return
        at = _AT.match(line)
        if at:
            self._is_writing = True
            self.done = max(self.done, self._share(int(at[1], 16)))
            return
        self._lines = [*self._lines[1 - _KEPT :], line[:400]]
        if _STOPS.search(line):
            raise self.failure()
        self._note(line)

    def failure(self) -> ToolError:
        """What to tell for an esptool that failed."""
        text = "\n".join(self._lines[self._error_at :])
        if self._is_connected and _LOST.search(text):
            return BoardError(self._lost())
        for kind, pattern, sentence in _TELL:
            found = re.search(pattern, text)
            if found:
                return kind(sentence.format(*found.groups(), port=self._port))
        return BoardError(
            f"esptool failed on {self._port} ({self._last_words()}): try again, "
            "and set the board aside if that happens twice"
        )

    def stalled(self) -> ToolError:
        """What to tell for an esptool that had to be ended: it waited in vain."""
        told = (
            self._lost()
            if self._is_connected
            else f"no boot loader answers on {self._port}: {_HOLD}"
        )
        return BoardError(told)

    def ended(self, signal: int) -> ToolError:
        """What to tell for an esptool that a signal ended, as when memory runs out."""
        state = ", and the board does not start now" if self._is_writing else ""
        return BoardError(
            f"esptool on {self._port} was ended by signal {signal}, which was not the board's "
            f"doing{state}: flash it again (is this machine short of memory?)"
        )

    @property
    def _error_at(self) -> int:
        """The line in which esptool began to tell why it failed; 0: it did not."""
        found = [n for n, line in enumerate(self._lines) if "error occurred:" in line]
        return found[-1] if found else 0

    def _note(self, line: str) -> None:
        done = _DONE.match(line)
        if self._learns(line):
            return
        if line.startswith("Connected to "):
            self._is_connected = True
        elif line.startswith("Erasing flash memory"):
            self._say("erasing the whole flash")
        elif done:
            self._finish(int(done[1], 16))
        elif line.startswith("Hash of data verified"):
            self.checked += 1
            self._say(f"{self._written}: written, its MD5 in the flash is right")
        elif line.startswith("Verification successful"):
            self.read_back += 1

    def _learns(self, line: str) -> bool:
        """Whether the line told what the chip is."""
        chip, mac, size = _CHIP.match(line), _MAC.fullmatch(line), _SIZE.match(line)
        if chip:
            self.chip = chip[1]
        elif mac:
            self._meet(bytes.fromhex(mac[1].replace(":", "")))
        elif size:
            self.flash_bytes = int(size[1]) << {"KB": 10, "MB": 20}[size[2]]
        return bool(chip or mac or size)

    def _meet(self, mac: bytes) -> None:
        if self.mac is None:
            self.mac = mac
            self._say(f"{self.chip or 'a chip'}, MAC {mac.hex(':')}")
        if mac != self.mac:
            raise BoardError(
                f"another board is on {self._port} than a moment ago: "
                "leave the boards where they are, and flash both again"
            )

    def _finish(self, offset: int) -> None:
        for piece in self._pieces:
            if piece.offset == offset:
                self._written = piece.name
                self.done = max(self.done, self._share(piece.end))

    def _share(self, address: int) -> float:
        """How much of all is written when it was written so far."""
        parts = (min(max(address - p.offset, 0), len(p.data)) for p in self._pieces)
        return sum(parts) / self._size

    def _lost(self) -> str:
        if self._is_writing:
            return (
                f"the board on {self._port} was lost at {self.done:.0%} of the writing, and does "
                "not start now: check its cable and its seat, and flash it again"
            )
        return (
            f"the board on {self._port} answered, and then was lost: "
            "check its cable and its seat, and try again"
        )

    def _last_words(self) -> str:
        told = [found[1] for line in self._lines if (found := _LAST_WORDS.search(line))]
        last = (told or self._lines or ["it said nothing"])[-1]
        return _PATHS.sub("a file", last)[:200]
