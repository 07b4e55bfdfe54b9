"""Model boards at one seat, for test_model.py: made, and struck at any step."""

from base64 import b64decode
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import count
from types import SimpleNamespace
from typing import Any, Literal

from firstlight.boards import Board
from firstlight.ca.certificate import DeviceCertificate
from firstlight.errors import BoardError, ProofError, ServiceError
from firstlight.inject import IDENTITY_PATH, Injected
from firstlight.line.seats import Sighting
from firstlight.record.chain import Entry
from firstlight.record.record import Record
from firstlight.repl import Implementation
from firstlight.tlsproof import Expected
from tests.certificates import make_root

Event = Literal["kill", "pull", "wrong", "swap"]
KINDS = ("ESP32_GENERIC", "RPI_PICO_W", "VIRTUAL")
LEFT = ("inject", "prove", "unit")
MACHINES = {"esp32": "with ESP32", "rp2": "with RP2040", "unix": "linux"}
CHIPS, SERIALS = count(1), count(1)


def proof_of(document: dict[str, Any]) -> str:
    """The key of an identity, or its certificate's fingerprint."""
    if "x509" not in document:
        key: str = document["symmetric_key"]["primary"]
        return key
    return sha256(b64decode(document["x509"]["chain"][0])).hexdigest()


class PaperMill:
    """A CA that issues at once: certificates that are nothing but numbers."""

    name, fingerprint, issuer = "model", "c" * 16, "d" * 64
    root_pem = make_root().pem.encode()
    chain = (b"batch",)

    def issue(self, registration_id: str) -> DeviceCertificate:
        number = next(SERIALS)
        leaf = b"certificate %d" % number
        chain = (leaf, *self.chain)
        found = sha256(leaf).hexdigest()
        return DeviceCertificate(chain, b"key", None, registration_id, f"{number:x}", found, 0)


class Killed(BaseException):
    """The process ends here, whatever it is about to do."""


@dataclass
class Device:
    """A board. identity: name and proof_of(), or none; proven: after it lay in the flash."""

    kind: Board
    chip: str
    runs: bool
    waits: bool = False  # in its UF2 boot loader
    identity: tuple[str, str] | None = None
    proven: bool = False
    was_unseen: bool = False  # came for another, and all was cut off: told when it comes next


@dataclass
class World:
    """One seat, what is at it, and what is to strike when."""

    seat: str
    there: Device | None
    other: Device
    plan: dict[int, Event] = field(default_factory=dict)
    steps: int = 0
    is_swapped: bool = False
    blind: int = 0  # the newest entry that knows the seat alone, of no chip yet

    def step(self) -> bool:
        """Something is done to the board at the seat: whether it goes wrong."""
        self.steps += 1
        event = self.plan.get(self.steps)
        if event == "kill":
            raise Killed
        if event == "pull":
            self.there = None
        if event == "swap":
            self.there, self.is_swapped = self.other, True
        return event == "wrong"

    def device(self) -> Device:
        if self.there is None:
            raise BoardError("it is gone")
        return self.there

    def at(self, seat: str) -> Sighting | None:
        one = self.there
        if one is None:
            return None
        port = None if one.waits else "port"
        drive: Any = SimpleNamespace() if one.waits else None
        return Sighting(seat, one.kind, port, drive)

    def chip(self, _board: Board, _port: str) -> Any:
        if self.step():
            raise BoardError("it does not tell its MAC")
        return SimpleNamespace(id=bytes.fromhex(self.device().chip), flash_bytes=1 << 22)

    def flash(self, _b: Board, _place: Any, _p: Any, _o: Any, moved: Any, _say: Any) -> None:
        self.step()
        one = self.device()
        one.runs, one.identity, one.proven = False, None, False
        moved(0.5)
        is_vain = self.step() and not self.is_swapped
        one = self.device()
        if self.step():
            raise BoardError("it took half of it")
        one.waits, one.runs = False, not is_vain
        self.step()

    def inject(
        self,
        repl: "Repl",
        document: dict[str, Any],
        _files: Any,
        _say: Callable[[str], None],
        _root: bytes | None,
    ) -> Injected:
        if self.step():
            raise ProofError("it does not sign")
        one = repl.held()
        if self.step():
            raise BoardError("its file system is full")
        repl.held()
        name = document["registration_id"]
        one.identity, one.proven = (name, proof_of(document)), False
        self.step()
        return Injected(name, (IDENTITY_PATH,))

    def prove(self, repl: "Repl", by: str | Expected) -> None:
        is_wrong = self.step()
        one = repl.held()
        key = by if isinstance(by, str) else by.fingerprint
        one.proven = not is_wrong and one.identity is not None and one.identity[1] == key
        if not one.proven:
            raise ProofError("it does not hold the key")
        self.step()

    def watch(self, _port: str, _limit_s: float, say: Callable[[str], None]) -> None:
        is_wrong = self.step()
        name = (self.device().identity or ("", ""))[0]
        say(f"12 ms  id     {name}")
        if is_wrong:
            raise ServiceError("no telemetry")


class Repl:
    """The REPL of the board that was at the seat when it was entered."""

    def __init__(self, world: World) -> None:
        self._world = world

    def __enter__(self) -> "Repl":
        is_wrong = self._world.step()
        self._one = self._world.device()
        if is_wrong or not self._one.runs or self._one.waits:
            raise BoardError("nothing answers")
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def held(self) -> Device:
        if self._world.there is not self._one:
            raise BoardError("the port is gone")
        return self._one

    def implementation(self) -> Implementation:
        port = self.held().kind.port
        platform = {"unix": "linux"}.get(port, port)
        return Implementation("micropython", (1, 28, 0), 0, MACHINES[port], platform)

    def unique_id(self) -> bytes:
        return bytes.fromhex(self.held().chip)

    def hashes(self, paths: Sequence[str]) -> dict[str, str]:
        return dict.fromkeys(paths, "a" if self.held().identity else "")

    def reset(self) -> None:
        self._world.step()
        self.held()


class Memory:
    """A record without a disk, for many plans in a second: the laws of the real one."""

    def __init__(self) -> None:
        self._entries: list[Entry] = []

    def append(self, **words: Any) -> Entry:
        said = {"seat": "", "chip_id": "", "registration_id": "", "facts": {}} | words
        is_end = (words["stage"], words["outcome"]) == ("unit", "done")
        assert not (is_end and self._ended(words["registration_id"]))
        number = len(self._entries) + 1
        made = Entry(number=number, at="", station="", previous="", digest="", **said)
        self._entries.append(made)
        return made

    def claim(self, chip_id: str, wanted: str | None, _make: object) -> str:
        has = self.claimed(chip_id)
        name = has or wanted or ""
        if not has:
            self.append(stage="claim", outcome="done", chip_id=chip_id, registration_id=name)
        return name

    def claimed(self, chip_id: str) -> str | None:
        return next((e.registration_id for e in self.history(chip_id) if e.stage == "claim"), None)

    def history(self, chip_id: str) -> list[Entry]:
        return [entry for entry in self._entries if entry.chip_id == chip_id]

    def _ended(self, name: str) -> bool:
        ends = [e for e in self._entries if (e.stage, e.outcome) == ("unit", "done")]
        return name in [entry.registration_id for entry in ends]


class Deadly:
    """The record, of a process that may end just before an entry, or just after it."""

    def __init__(self, record: Record, world: World) -> None:
        self._record, self._world = record, world

    def __getattr__(self, name: str) -> Any:
        return getattr(self._record, name)

    def append(self, **words: Any) -> Any:
        self._world.step()
        entry = self._record.append(**words)
        if not entry.chip_id:
            assert (entry.stage, entry.seat) == ("flash", self._world.seat)
            self._world.blind = entry.number
        self._world.step()
        return entry

    def claim(self, *words: Any) -> str:
        self._world.step()
        name = self._record.claim(*words)
        self._world.step()
        return name
