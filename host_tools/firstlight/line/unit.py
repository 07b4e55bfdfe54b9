"""One unit on its way through the stages; each is in the record before it begins, and after.

Runs in a thread of its own, and ends by itself: every wait has a limit. Never keeps a unit's key
longer than its stage, and never puts one into the record. Whatever stops it, at whatever point,
the record says how far the unit came: the next run reads that, and goes on there.
"""

import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from .. import boards, keys
from .. import inject as injection
from ..errors import BoardError, ProofError, ToolError, UsageError
from ..firstboot import watch
from ..flash import esptool, flashing
from ..flash.bootroms import Loader
from ..labels import Label
from ..labels import write as write_labels
from ..record.rules import fitting
from ..repl import Repl
from ..stage import loads_mpy
from .messages import advice
from .seats import Sighting, short
from .stages import STAGES, finished, injected_with, remaining
from .station import Flashing, Station

BACK_S = 45.0  # for a board to be back at its seat after a reset
_LOOK_S = 0.2
_MOUNT_S = 5.0
_PATIENCE_S = 8.0  # for a REPL that should be there
_TRIES = 2
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


class Stopped(ToolError):
    """The line was told to end; the unit goes on at the next one."""


class Taken(BoardError):
    """The chip is at work at another seat, or at another station."""


class Unit:
    """A unit at a seat. stopped: true when the line is to end; the unit stops where it can."""

    def __init__(
        self, station: Station, sighting: Sighting, stopped: Callable[[], bool] = lambda: False
    ) -> None:
        self.sighting = sighting
        self.progress = Progress()
        self._station = station
        self._stopped = stopped
        self._board = sighting.board
        self._chip = self._name = ""
        self._now = "look"  # the stage that a failure is told of
        self._newest = 0  # the number of the last entry of its chip that it knows
        self._at_repl = False  # its firmware does not run: we interrupted it
        self._is_empty = False  # MicroPython said that there is no identity on it
        self._was_blind = False  # it was flashed before anybody knew which chip it is

    def run(self) -> Result:
        """Take the unit through what it still needs. Never raises an Exception."""
        try:
            state = self._through()
            self._now = "look"  # what fails from here on undoes nothing
            self._leave_repl()
            return Result(self.sighting.seat, self._name or self._chip, state)
        except Stopped as error:
            return Result(self.sighting.seat, self._name or self._chip, "stopped", str(error))
        except Exception as error:  # the other units go on
            return self._failed(error)

    def _through(self) -> str:
        """Return how the unit ended; raise ToolError where it failed."""
        self._chip = self._glance()
        todo = self._todo() if self._chip else [*self._station.wanted]
        if self._is_empty and "inject" not in todo:
            self._note("inject", "failed", error="the board has no identity any more")
            todo = self._todo()
        if not todo and not self._station.again:
            self._name = self._station.record.claimed(self._chip) or ""
            return "skipped"
        if "flash" in todo:
            self._flash()
        self._identify()
        was_finished, todo = finished(self._history()), self._todo()
        if was_finished and "inject" not in todo and todo != ["label"]:
            self._check_key()
        if not todo:
            self._prove_again()
            return "re-proved"
        for stage in todo:
            self._stop_if_told()
            getattr(self, f"_{stage}")()
        if was_finished and todo != ["label"]:
            self._note("again", "done")
        return "passed"

    def _glance(self) -> str:
        """The chip's id as far as it can be had from a unit that may be bare; "" if not."""
        port = self.sighting.port
        if port is None:
            return ""  # a boot loader on a drive does not tell it
        if self._board.loader == "esptool" and self._station.flashing:
            found = esptool.chip(self._board, port)
            self._board = replace(self._board, flash_bytes=found.flash_bytes or None)
            return found.id.hex()
        try:
            with Repl(port, patience_s=_PATIENCE_S) as repl:
                self._at_repl = True
                self._is_empty = not repl.hashes([injection.IDENTITY_PATH])[
                    injection.IDENTITY_PATH
                ]
                return repl.unique_id().hex()
        except BoardError:
            return ""

    def _flash(self) -> None:
        self._begin("flash")
        made = self._made
        if made is None:
            raise UsageError("the line flashes nothing, and this unit needs it")
        place = self._place()
        self._was_blind = not self._chip
        self._note("flash", "begun", image=made.image)
        flashing.flash(
            self._board, place, made.pieces, self._station.options, self._moved, self._say
        )
        self._note("flash", "done", image=made.image)

    def _place(self) -> flashing.Place:
        """Where to flash. A drive is mounted a moment after its boot loader is there."""
        until_s = time.monotonic() + _MOUNT_S
        while isinstance(self.sighting.volume, Loader) and time.monotonic() < until_s:
            self._stop_if_told()
            time.sleep(_LOOK_S)
            self.sighting = self._station.seats.at(self.sighting.seat) or self.sighting
        return flashing.Place(self.sighting.port, self.sighting.volume)

    def _identify(self) -> None:
        """Learn which chip is at the seat, by the REPL; give it its name."""
        self._begin("identify")
        try:
            with self._repl() as repl:
                self._check_kind(repl)
                chip = repl.unique_id().hex()
        except BoardError:
            self._flash_was_vain()
            raise
        if self._chip not in ("", chip):
            raise BoardError(f"the loader said chip {self._chip}, MicroPython says {chip}")
        self._chip = chip
        self._claim()

    def _claim(self) -> None:
        self._begin("claim")
        naming = self._station.naming
        wanted = None if naming else self._board.registration_id(bytes.fromhex(self._chip))
        self._name = self.progress.name = self._station.record.claim(self._chip, wanted, naming)
        self._history()
        if self._was_blind and self._made:  # bound by the seat, which it did not leave
            for outcome in ("begun", "done"):
                self._note("flash", outcome, image=self._made.image, bound="seat")

    def _check_kind(self, repl: Repl) -> None:
        """Raise UsageError for a board of another kind: USB ids and platforms are many kinds'."""
        found = repl.implementation()
        self._board.check_platform(found.platform)
        told = _chip_named(found.machine)
        if told in _known_chips() - {self._board.mcu}:
            raise UsageError(f"a {self._board.id} has an {self._board.mcu}, not an {told}")

    def _check_key(self) -> None:
        """Raise ToolError if the unit was made with another group key: nothing is mended with it.

        It may be a good device; the line's key is then the wrong one.
        """
        had = injected_with(self._history())
        ours = self._station.group_key.fingerprint
        if had not in ("", ours):
            raise ToolError(
                f"{self._name} was made with the group key {had}, and this line's is {ours}: "
                "give it the right --group-key"
            )

    def _flash_was_vain(self) -> None:
        """Have the next try flash the unit, if it is there and no MicroPython answers."""
        made = self._made
        if made and self._chip and self._station.seats.at(self.sighting.seat):
            self._note("flash", "failed", image=made.image, error="no MicroPython answers")

    def _inject(self) -> None:
        self._begin("inject")
        station, pair = self._station, self._station.keys_of(self._name)
        document = station.document | {
            "registration_id": self._name,
            "symmetric_key": pair,
        }
        facts = {
            "board": self._board.id,
            "group_key": station.group_key.fingerprint,
            "device_key": keys.fingerprint(pair["primary"]),
        }
        self._note("inject", "begun", **facts)
        with self._repl() as repl:
            found = repl.implementation()
            facts["micropython"] = ".".join(str(part) for part in found.version)
            files = station.files(loads_mpy(found.mpy))
            done = injection.inject(repl, document, files, self._say)
            self._reset(repl)
        self._note("inject", "done", files=str(len(done.written)), **facts)

    def _prove(self) -> None:
        """Once more after a reset, with what lies in the flash then."""
        self._begin("prove")
        self._note("prove", "begun")
        self._prove_now()
        self._note("prove", "done")

    def _prove_again(self) -> None:
        self._begin("prove")
        self._note("again", "begun")
        self._prove_now()
        self._note("again", "done")

    def _prove_now(self) -> None:
        with self._repl() as repl:
            try:
                injection.prove(repl, self._station.keys_of(self._name)["primary"])
            except ProofError as error:  # the next try gives it its identity again
                self._note("inject", "failed", error=fitting(str(error)))
                raise
            self._reset(repl)

    def _boot(self) -> None:
        self._begin("boot")
        self._note("boot", "begun")
        self._leave_repl()
        watch(self._port(), self._station.first_boot_s, self._hear)
        self._note("boot", "done")

    def _hear(self, line: str) -> None:
        """Take a line of the unit's first boot; raise BoardError if it is another unit's."""
        self._say(line)
        named = _NAMED.fullmatch(line)
        if named and named[1] != self._name:
            raise BoardError(f"another board is at {self.sighting.seat} than a moment ago")

    def _unit(self) -> None:
        self._begin("record")
        self._note("unit", "done", board=self._board.id)

    def _label(self) -> None:
        self._begin("label")
        labelling = self._station.labelling
        if labelling is None:
            return
        (entry,) = (e for e in self._history() if (e.stage, e.outcome) == ("unit", "done"))
        made = entry.at[:10]  # the same label, whenever it is made
        label = Label(self._name, self._board.product, self._chip, made, {})
        paths = write_labels([label], labelling.folder, labelling.forms, labelling.template)
        self._note("label", "done", files=", ".join(path.name for path in paths)[:200])

    def _history(self) -> list[Any]:
        found = self._station.record.history(self._chip)
        self._newest = found[-1].number if found else 0
        return found

    def _todo(self) -> list[str]:
        made = self._made
        key = self._station.group_key.fingerprint
        image = made.image if made else ""
        return remaining(self._history(), self._station.wanted, image, key)

    @property
    def _made(self) -> Flashing | None:
        return self._station.flashing(self._board) if self._station.flashing else None

    @contextmanager
    def _repl(self) -> Iterator[Repl]:
        """The unit's REPL; a port that is going away, after a reset, gets a second chance."""
        with ExitStack() as stack:
            repl = self._entered(stack)
            if self._name and repl.unique_id().hex() != self._chip:
                raise BoardError(f"another board is at {self.sighting.seat} than a moment ago")
            yield repl

    def _entered(self, stack: ExitStack) -> Repl:
        for _ in range(_TRIES - 1):
            port = self._port()
            with suppress(BoardError):
                return self._enter(stack, port)
        return self._enter(stack, self._port())

    def _enter(self, stack: ExitStack, port: str) -> Repl:
        repl = stack.enter_context(Repl(port, patience_s=_PATIENCE_S))
        self._at_repl = True
        return repl

    def _reset(self, repl: Repl) -> None:
        repl.reset()
        self._at_repl = False

    def _leave_repl(self) -> None:
        """Have the unit's firmware run."""
        if self._at_repl:
            with self._repl() as repl:
                self._reset(repl)

    def _port(self) -> str:
        """The unit's serial port, at its seat, whatever it is called by now."""
        until_s = time.monotonic() + BACK_S
        while time.monotonic() < until_s:
            found = self._station.seats.at(self.sighting.seat)
            if found is not None and found.port is not None:
                return found.port
            self._stop_if_told()
            time.sleep(_LOOK_S)
        raise BoardError(f"no serial port came back at {self.sighting.seat}")

    def _begin(self, stage: str) -> None:
        self._now = stage
        self.progress.stage, self.progress.part, self.progress.text = stage, None, ""

    def _moved(self, part: float) -> None:
        self.progress.part = part
        self._stop_if_told()

    def _say(self, text: str) -> None:
        self.progress.text = text
        self._stop_if_told()

    def _note(self, stage: str, outcome: str, **facts: str) -> None:
        self._check_ours()
        try:
            entry = self._station.record.append(
                stage=stage,
                outcome=outcome,
                seat=short(self.sighting.seat),
                chip_id=self._chip,
                registration_id=self._name,
                facts=facts,
            )
        except UsageError as error:  # ours, not the unit's
            raise ToolError(f"the record does not take the entry: {error}") from None
        self._newest = entry.number

    def _check_ours(self) -> None:
        """Raise Taken if somebody else wrote of this chip since: it is theirs, then.

        As when it was pulled out and is at work elsewhere; or when two chips have one id.
        """
        found = self._station.record.history(self._chip) if self._chip else []
        if found and found[-1].number > self._newest:
            there = f"{found[-1].seat} of {found[-1].station}"
            raise Taken(f"chip {self._chip} is at work at {there}")

    def _stop_if_told(self) -> None:
        if self._stopped():
            raise Stopped("the line was stopped: plug it in again later, it goes on")

    def _failed(self, error: Exception) -> Result:
        """Put the failure into the record, as far as that can be; say what to do."""
        is_told = isinstance(error, ToolError)
        cause = str(error) if is_told else f"this is a bug: {type(error).__name__}"
        present = self._station.seats.at(self.sighting.seat) is not None
        if self._now in STAGES and not isinstance(error, Taken):
            try:
                self._note(self._now, "failed", error=fitting(cause))
            except ToolError as worse:
                cause = f"{cause}; and the record: {worse}"
        told = advice(error, self._now, self._board.loader, present)
        name = self._name or self._chip
        return Result(self.sighting.seat, name, "failed", told, cause)


@cache
def _known_chips() -> set[str]:
    return {boards.load(name).mcu for name in boards.names()}


def _chip_named(machine: str) -> str:
    """The chip at the end of MicroPython's "Raspberry Pi Pico W with RP2040", as mcu has it."""
    return re.sub("[^a-z0-9]", "", machine.lower().rpartition(" with ")[2])
