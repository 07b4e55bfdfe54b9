"""The bridge: a process that is a virtual board's power, port, watchdog timer and clock chip.

Run as `python -m firstlight.bridge FOLDER [outlive]` (unitpower.py says how it is switched off).
Never lets the interpreter outlive it.
"""

import os
import select
import signal
import sys
import time
from pathlib import Path

from .boardlog import BoardLog
from .boardport import CHUNK, Port, read_some, write_some
from .bootstream import BootStream, LineEnds
from .interpreter import Interpreter, Parts
from .unitfolder import Settings, take_next_flash
from .unitpower import Power, powered, publish

_POWER_ON, _HARD, _WATCHDOG, _WOKEN, _SOFT = 1, 2, 3, 4, 5  # an ESP32's machine.reset_cause()
_EPOCH_2000_NS = 946_684_800 * 10**9
_CLOCK_MEMORY = "rtc.bin"  # boards/VIRTUAL/machine.py's
_LIMIT = 65536  # bytes on their way, in each direction
_LOOK_S = 0.02  # how often to look whether somebody opened the port
_INSIST_S = 1.0  # a board that starts does not wait for anything for so long
_CTRL_C_WAIT_S = 2.0
_FALSE_STARTS = 3


class Bridge:
    """Everything about one powered board. run() returns when the power is off."""

    def __init__(
        self,
        folder: Path,
        settings: Settings,
        port: Port | None = None,
        parts: Parts | None = None,
    ) -> None:
        """Start it. port: of a chip that has one already; parts: where its flash has others."""
        self._folder, self._settings, self._parts = folder, settings, parts or {}
        self.port = port or Port()
        self.wants_loader = False  # why run() returned: the chip is to go to its boot loader
        self._log, self._pins = BoardLog(folder), BoardLog(folder, "pins")
        (folder / _CLOCK_MEMORY).unlink(missing_ok=True)  # the power was off
        self._born = time.monotonic()
        self._to_board, self._to_port = bytearray(), bytearray()
        self._control = b""
        self._offset_ns = _EPOCH_2000_NS - time.time_ns()
        self._watchdog_s: float | None = None
        self._bite_at = 0.0
        self._nap_s = 0.0
        self._wakes_at: float | None = None  # while it sleeps: then there is no interpreter
        self._held_since: float | None = None
        self._false_starts = 0
        self._on = True
        self._start(_POWER_ON, raw=False)

    def run(self, leash: int, wake: int) -> int:
        """Pass bytes until the leash ends or wake is readable. Return the process's exit code."""
        try:
            while self._on:
                self._turn(leash, wake)
        finally:
            if self._wakes_at is None:
                self._cpu.kill()
                self._cpu.reap()
            self._log.close()
            self._pins.close()
        return 1 if self._false_starts >= _FALSE_STARTS else 0

    def hear(self, data: bytes) -> None:
        """Let the board have what was typed."""
        self._to_board += data

    def _start(self, cause: int, raw: bool, run_main: bool = True) -> None:
        self._stream, self._line_ends = BootStream(raw), LineEnds()
        self._up, self._verdict, self._control = False, "", b""
        self._held_since = None
        if cause != _SOFT:
            self._watchdog_s = None
        word: dict[str, object] = {
            "offset_ns": self._offset_ns,
            "reset_cause": cause,
            "run_main": run_main,
            "parts": self._parts,
        }
        refused = take_next_flash(self._folder)
        self._cpu = Interpreter(self._folder, self._settings.heap_bytes, word)
        publish(self._folder, self.port.path, self._cpu.pid)
        if refused:
            self._show(f"firstlight: {refused}\r\n".encode(), self.port.held())

    def _turn(self, leash: int, wake: int) -> None:
        held = self.port.held()
        poll = select.poll()
        for fd, events in self._interests(held).items():
            poll.register(fd, events)
        poll.register(wake, select.POLLIN)
        poll.register(leash, select.POLLIN)
        ready = dict(poll.poll(self._patience_s(held) * 1000))
        if wake in ready or (leash in ready and not os.read(leash, CHUNK)):
            self._on = False
            return
        if not held:
            self._to_port.clear()
        else:
            self._serve_port(ready.get(self.port.fd, 0))
        if self._wakes_at is None:
            self._serve_cpu(ready, held)
            self._bite()
        else:
            self._sleep()

    def _interests(self, held: bool) -> dict[int, int]:
        wanted = {}
        if self._wakes_at is None:
            wanted = {self._cpu.control: select.POLLIN, self._cpu.terminal: 0}
            if len(self._to_port) < _LIMIT:
                wanted[self._cpu.terminal] |= select.POLLIN
            if self._may_type() and self._held_since is None:
                wanted[self._cpu.terminal] |= select.POLLOUT
        if held:
            wanted[self.port.fd] = select.POLLIN if len(self._to_board) < _LIMIT else 0
            wanted[self.port.fd] |= select.POLLOUT if self._to_port else 0
        return wanted

    def _patience_s(self, held: bool) -> float:
        waits = [1.0 if held else _LOOK_S]
        ends = self._bite_at if self._watchdog_s is not None else self._wakes_at
        if ends is not None:
            waits.append(max(0.0, ends - time.monotonic()))
        if self._held_since is not None:
            waits.append(0.001)
        return min(waits)

    def _may_type(self) -> bool:
        return bool(self._to_board) and self._up and self._stream.settled

    def _serve_port(self, events: int) -> None:
        if events & select.POLLIN:
            self.hear(self.port.read())
            if self.port.wants_loader:
                self._on, self.wants_loader = False, True
        if events & select.POLLOUT and self._to_port:
            del self._to_port[: write_some(self.port.fd, self._to_port)]

    def _serve_cpu(self, ready: dict[int, int], held: bool) -> None:
        if ready.get(self._cpu.terminal, 0) & select.POLLIN:
            self._listen(held)
        if self._may_type():
            self._type()
        if ready.get(self._cpu.control, 0):
            self._obey()

    def _listen(self, held: bool) -> None:
        self._show(self._stream.feed(read_some(self._cpu.terminal)), held)
        if self._stream.enter_raw:
            self._stream.enter_raw = False
            write_some(self._cpu.terminal, b"\x01")

    def _show(self, data: bytes, held: bool) -> None:
        if not held:
            self._log.append(data)
            return
        self._to_port += data if self._stream.raw else self._line_ends.feed(data)

    def _type(self) -> None:
        """Pass on what was typed; a Ctrl-C only when it does what it does on a board."""
        at = self._to_board.find(b"\x03")
        if at != 0:
            piece = self._to_board[: at if at > 0 else CHUNK]
            del self._to_board[: write_some(self._cpu.terminal, piece)]
            return
        self._held_since = self._held_since or time.monotonic()
        waited_s = time.monotonic() - self._held_since
        if self._cpu.interrupt(insist=waited_s > _INSIST_S) or waited_s > _CTRL_C_WAIT_S:
            del self._to_board[:1]  # delivered, or the program has turned Ctrl-C off
            self._held_since = None

    def _obey(self) -> None:
        data = read_some(self._cpu.control)
        if not data:
            self._ended()
            return
        *lines, self._control = (self._control + data).split(b"\n")
        self._control = self._control[-CHUNK:]
        for line in lines:
            self._do(line.decode(errors="replace"))

    def _do(self, line: str) -> None:
        verb, _, number = line.partition(" ")
        if verb == "up":
            self._up, self._false_starts = True, 0
        elif verb in ("reset", "soft"):
            self._verdict = self._verdict or verb
            self._cpu.kill()
        elif verb in ("sleep", "cut"):  # for ever, without a number
            self._verdict = self._verdict or "sleep"
            self._nap_s = int(number) / 1000 if number.isdigit() else float("inf")
            self._cpu.kill()
        elif verb == "bootloader":
            self._on, self.wants_loader = False, True
        elif verb == "pin":
            at_ms = (time.monotonic() - self._born) * 1000
            self._pins.append(f"{at_ms:.0f} {number}\n".encode())
        else:
            self._keep_time(verb, number)

    def _keep_time(self, verb: str, number: str) -> None:
        if verb == "clock" and number.lstrip("-").isdigit():
            self._offset_ns = int(number)
        elif verb == "watchdog" and number.isdigit():
            self._watchdog_s = int(number) / 1000
        if self._watchdog_s is not None and verb in ("watchdog", "feed"):
            self._bite_at = time.monotonic() + self._watchdog_s

    def _bite(self) -> None:
        if self._watchdog_s is not None and time.monotonic() >= self._bite_at:
            self._verdict, self._watchdog_s = "watchdog", None
            self._cpu.kill()

    def _sleep(self) -> None:
        """Nothing runs but the timer; what is typed is lost, as on a chip."""
        self._to_board.clear()
        if self._wakes_at is not None and time.monotonic() >= self._wakes_at:
            self._wakes_at = None
            self._start(_WOKEN, raw=False)

    def _ended(self) -> None:
        """The interpreter is gone: reset as the reason says, and start it again."""
        held = self.port.held()
        self._drain(held)
        raw, was_up = self._stream.raw, self._up
        code = self._cpu.reap()
        if not was_up:
            self._false_starts += 1
            self._on = self._false_starts < _FALSE_STARTS
        if self._verdict == "soft" or code >= 0 or code == -signal.SIGINT:
            self._show(b"MPY: soft reboot\r\n", held)
            run_main = not raw and code != -signal.SIGINT
            self._start(_SOFT, raw, run_main)
            return
        if self._verdict == "sleep":
            self._watchdog_s, self._held_since = None, None
            self._wakes_at = time.monotonic() + self._nap_s
            publish(self._folder, self.port.path, None)
            return
        causes = {"reset": _HARD, "watchdog": _WATCHDOG}
        if self._verdict != "reset":
            self._to_board.clear()  # it was meant for a program that is no more
        self._start(causes.get(self._verdict, _POWER_ON), raw=False)

    def _drain(self, held: bool) -> None:
        while data := read_some(self._cpu.terminal):
            self._show(self._stream.feed(data), held)


def main(argv: list[str]) -> int:
    """Power the board in the folder that argv names. Return the exit code."""
    return powered(argv, _run)


def _run(power: Power) -> int:
    bridge = Bridge(power.folder, Settings.load(power.folder))
    power.on(bridge.port.path)
    return bridge.run(power.leash, power.wake)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
