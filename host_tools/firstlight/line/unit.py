"""One unit on its way through the stages; each is in the record before it begins, and after.

Runs in a thread of its own, and ends by itself: every wait has a limit. Never keeps a unit's key
longer than its stage, and never puts one into the record. Whatever stops it, at whatever point,
the record says how far the unit came: the next run reads that, and goes on there.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache

from .. import boards
from .. import inject as injection
from ..errors import BoardError, ProofError, ToolError, UsageError
from ..firstboot import watch
from ..flash import esptool, flashing
from ..labels import Label
from ..labels import write as write_labels
from ..record.rules import fitting
from ..repl import Repl
from ..stage import loads_mpy
from .credentials import Made
from .messages import advice
from .reach import Reach, Stopped, look
from .seats import Sighting
from .stages import STAGES, finished, injected, made_with, remaining
from .station import Flashing, Station
from .story import Story, Taken

_OPTIONS = {"group_key": ("group key", "--group-key"), "authority": ("CA", "--ca")}
_NAMED = re.compile(r"\d+ ms  id +(\S+)")  # of firmware/wake.py


@dataclass(frozen=True)
class Result:
    """How a unit ended. state: passed, failed, skipped or re-proved; cause: of a failure."""

    seat: str
    name: str
    state: str
    advice: str = ""
    cause: str = ""


@dataclass
class Progress:
    """Where a unit is now, for whoever shows it; written by the unit's thread alone."""

    name: str = ""
    stage: str = "look"
    part: float | None = None
    text: str = ""


class Unit:
    """A unit at a seat. stopped: true when the line is to end; the unit stops where it can."""

    def __init__(
        self, station: Station, sighting: Sighting, stopped: Callable[[], bool] = lambda: False
    ) -> None:
        self.seat = sighting.seat
        self.board = sighting.board
        self.progress = Progress()
        self._station = station
        self._reach = Reach(station.seats, sighting, stopped)
        self._story = Story(station.record, sighting.seat)
        self._now = "look"  # the stage that a failure is told of
        self._is_empty = False  # MicroPython said that there is no identity on it
        self._was_flashed = False  # just now
        self._was_blind = False  # it was flashed before anybody knew which chip it is

    def run(self) -> Result:
        """Take the unit through what it still needs. Never raises an Exception."""
        try:
            state = self._through()
            self._now = "look"  # what fails from here on undoes nothing
            self._reach.leave()
            return Result(self.seat, self._shown, state)
        except Stopped as error:
            return Result(self.seat, self._shown, "stopped", str(error))
        except Exception as error:  # the other units go on
            return self._failed(error)

    def _through(self) -> str:
        """Return how the unit ended; raise ToolError where it failed."""
        self._story.chip = self._glance()
        todo = self._first_todo()
        if not todo and not self._station.again:
            self._story.name = self._station.record.claimed(self._story.chip) or ""
            return "skipped"
        if "flash" in todo:
            self._flash()
        self._identify()
        was_finished, todo = finished(self._story.so_far()), self._todo()
        if was_finished and "inject" not in todo and todo != ["label"]:
            self._check_key()
        if not todo:
            self._prove_again()
            return "re-proved"
        for stage in todo:
            self._reach.stop_if_told()
            getattr(self, f"_{stage}")()
        if was_finished and todo != ["label"]:
            self._story.note("again", "done")
        return "passed"

    def _first_todo(self) -> list[str]:
        """What the unit needs, as far as its boot loader, its files and the record tell."""
        if not self._story.chip:
            return [*self._station.wanted]
        todo = self._todo()
        if not todo and not self._reach.at_repl:  # a boot loader knows nothing of files
            self._look_inside()
        if self._is_empty and "inject" not in todo:
            self._story.note("inject", "failed", error="the board has no identity any more")
            todo = self._todo()
        return todo

    def _look_inside(self) -> None:
        chip, self._is_empty = self._reach.glance(self._reach.port())
        if not chip:
            self._flash_was_vain("no MicroPython answers")
            raise BoardError(f"no MicroPython answers at {self.seat}")

    def _glance(self) -> str:
        """The chip's id as far as it can be had from a unit that may be bare; "" if not."""
        port = self._reach.sighting.port
        if port is None:
            return ""  # a boot loader on a drive does not tell it
        if self.board.loader == "esptool" and self._station.flashing:
            found = esptool.chip(self.board, port)
            self.board = replace(self.board, flash_bytes=found.flash_bytes or None)
            return found.id.hex()
        chip, self._is_empty = self._reach.glance(port)
        return chip

    def _flash(self) -> None:
        self._begin("flash")
        made = self._made
        if made is None:
            raise UsageError("the line flashes nothing, and this unit needs it")
        place = self._reach.place()
        self._was_flashed, self._was_blind = True, not self._story.chip
        self._story.note("flash", "begun", image=made.image)
        flashing.flash(
            self.board, place, made.pieces, self._station.options, self._moved, self._say
        )
        self._story.note("flash", "done", image=made.image)

    def _identify(self) -> None:
        """Learn which chip is at the seat, by the REPL; give it its name."""
        self._begin("identify")
        try:
            with self._reach.repl() as repl:
                self._check_kind(repl)
                chip, is_empty = look(repl)
        except BoardError:
            self._flash_was_vain("no MicroPython answers")
            raise
        told = self._story.chip
        if told not in ("", chip):
            self._disown(chip, is_empty)
            raise BoardError(f"it was chip {told} a moment ago, and is {chip} now")
        self._story.chip = self._reach.chip = chip
        self._claim()

    def _claim(self) -> None:
        self._begin("claim")
        naming = self._station.naming
        chip = self._story.chip
        wanted = None if naming else self.board.registration_id(bytes.fromhex(chip))
        self._story.name = self._station.record.claim(chip, wanted, naming)
        self.progress.name = self._story.name
        self._story.so_far()
        if self._was_blind and self._made:  # bound by the seat, which it did not leave
            for outcome in ("begun", "done"):
                self._story.note("flash", outcome, image=self._made.image, bound="seat")

    def _check_kind(self, repl: Repl) -> None:
        """Raise UsageError for a board of another kind: USB ids and platforms are many kinds'."""
        found = repl.implementation()
        self.board.check_platform(found.platform)
        told = _chip_named(found.machine)
        if told in _known_chips() - {self.board.mcu}:
            raise UsageError(f"a {self.board.id} has an {self.board.mcu}, not an {told}")

    def _check_key(self) -> None:
        """Raise ToolError if the unit was made with another group key or CA: nothing is mended.

        It may be a good device; the line has the wrong one then.
        """
        fact, had = made_with(injected(self._story.so_far()))
        ours = self._station.credentials
        if had not in ("", ours.fingerprint):
            what, option = _OPTIONS[fact]
            raise ToolError(
                f"{self._story.name} was made with the {what} {had}, and this line's "
                f"{_OPTIONS[ours.fact][0]} is {ours.fingerprint}: give it the right {option}"
            )

    def _flash_was_vain(self, why: str) -> None:
        """Have the next try flash the unit, if something is there and it is not the unit."""
        made = self._made
        if made and self._story.chip and self._reach.is_there:
            self._story.note("flash", "failed", image=made.image, error=why)

    def _disown(self, chip: str, is_empty: bool) -> None:
        """Another board came to the seat; it may have been flashed in the unit's place."""
        if self._was_flashed:
            self._flash_was_vain(f"chip {chip} is at its seat")
        other = Story(self._station.record, self.seat)
        other.chip = chip
        if is_empty and other.so_far():
            other.note("inject", "failed", error="the board has no identity any more")

    def _inject(self) -> None:
        self._begin("inject")
        station, made = self._station, self._credential()
        document = station.document | {"registration_id": self._story.name} | made.section
        facts = {"board": self.board.id, **made.facts}
        self._story.note("inject", "begun", **facts)
        with self._reach.repl() as repl:
            found = repl.implementation()
            facts["micropython"] = ".".join(str(part) for part in found.version)
            files = station.files(loads_mpy(found.mpy))
            done = injection.inject(repl, document, files, self._say, made.root)
            self._reach.reset(repl)
        self._story.note("inject", "done", files=str(len(done.written)), **facts)

    def _credential(self) -> Made:
        """Make the unit's; what is refused there is the line's trouble, not the unit's."""
        try:
            return self._station.credentials.make(self._story.name)
        except UsageError as error:
            raise ToolError(str(error)) from None

    def _prove(self) -> None:
        """Once more after a reset, with what lies in the flash then."""
        self._begin("prove")
        self._story.note("prove", "begun")
        self._prove_now()
        self._story.note("prove", "done")

    def _prove_again(self) -> None:
        self._begin("prove")
        self._story.note("again", "begun")
        self._prove_now()
        self._story.note("again", "done")

    def _prove_now(self) -> None:
        self._say("waiting for the board to be back")
        given = injected(self._story.so_far())
        with self._reach.repl() as repl:
            try:
                self._station.credentials.prove(repl, self._story.name, given)
            except ProofError as error:  # the next try gives it its identity again
                self._story.note("inject", "failed", error=fitting(str(error)))
                raise
            self._reach.reset(repl)

    def _boot(self) -> None:
        self._begin("boot")
        self._story.note("boot", "begun")
        self._reach.leave()
        watch(self._reach.port(), self._station.first_boot_s, self._hear)
        self._story.note("boot", "done")

    def _hear(self, line: str) -> None:
        """Take a line of the unit's first boot; raise BoardError if it is another unit's."""
        self._say(line)
        named = _NAMED.fullmatch(line)
        if named and named[1] != self._story.name:
            raise self._reach.another()

    def _unit(self) -> None:
        self._begin("record")
        self._story.note("unit", "done", board=self.board.id)

    def _label(self) -> None:
        self._begin("label")
        labelling = self._station.labelling
        if labelling is None:
            return
        (entry,) = (e for e in self._story.so_far() if (e.stage, e.outcome) == ("unit", "done"))
        made = entry.at[:10]  # the same label, whenever it is made
        label = Label(self._story.name, self.board.product, self._story.chip, made, {})
        paths = write_labels([label], labelling.folder, labelling.forms, labelling.template)
        self._story.note("label", "done", files=", ".join(path.name for path in paths)[:200])

    def _todo(self) -> list[str]:
        made = self._made
        key = self._station.credentials.fingerprint
        image = made.image if made else ""
        return remaining(self._story.so_far(), self._station.wanted, image, key)

    @property
    def _made(self) -> Flashing | None:
        return self._station.flashing(self.board) if self._station.flashing else None

    def _begin(self, stage: str) -> None:
        self._now = stage
        self.progress.stage, self.progress.part, self.progress.text = stage, None, ""

    def _moved(self, part: float) -> None:
        self.progress.part = part
        self._reach.stop_if_told()

    def _say(self, text: str) -> None:
        self.progress.text = text
        self._reach.stop_if_told()

    @property
    def _shown(self) -> str:
        return self._story.name or self._story.chip

    def _failed(self, error: Exception) -> Result:
        """Put the failure into the record, as far as that can be; say what to do."""
        is_told = isinstance(error, ToolError)
        cause = str(error) if is_told else f"this is a bug: {type(error).__name__}"
        if self._now in STAGES and not isinstance(error, Taken):
            try:
                self._story.note(self._now, "failed", error=fitting(cause))
            except ToolError as worse:
                cause = f"{cause}; and the record: {worse}"
        told = advice(error, self._now, self.board.loader, self._reach.is_there)
        return Result(self.seat, self._shown, "failed", told, cause)


@cache
def _known_chips() -> set[str]:
    return {boards.load(name).mcu for name in boards.names()}


def _chip_named(machine: str) -> str:
    """The chip at the end of MicroPython's "Raspberry Pi Pico W with RP2040", as mcu has it."""
    return re.sub("[^a-z0-9]", "", machine.lower().rpartition(" with ")[2])
