"""A virtual board with the network's half of the firmware on it, and a clock that only waits."""

from typing import Any

from firstlight.layout import firmware_folder
from firstlight.repl import Repl
from firstlight.stage import compiled

from .test_stand_ins import value

# The radio's stand-in is given the same clock: a wait of 20 s takes no time. The W5500's keeps the
# PC's, and is waited for at a pace.
_DEVICE = """
import machine, network, time
class Clock:
    now = 0
    def sleep_ms(self, ms):
        Clock.now += ms
        time.sleep_ms(self.pace_ms)
class Board:
    pass
class Device:
    nic = called = None
    clock = Clock()
    board = Board()
    def say(self, step, text):
        self.said = [step, text]
    def call(self, module, name, device, *how):
        self.called = [module, name]
def run(module, radio, me, pace_ms):
    Clock.pace_ms = pace_ms
    device.said = device.error = None
    device.plan, device.me = {'radio': radio}, me
    start = Clock.now
    try:
        __import__(module).run(device)
    except OSError as e:
        device.error = str(e)
    return {'said': device.said, 'error': device.error, 'ms': Clock.now - start}
Board.machine = machine
device = Device()
network.ticks_ms = lambda: Clock.now
"""


class Lab:
    """The board's end of it."""

    def __init__(self, repl: Repl) -> None:
        self.repl = repl
        for name in ("aziot/__init__", "aziot/_const", "wifi", "ethernet"):
            source = (firmware_folder() / f"{name}.py").read_bytes()
            if "/" in name:
                repl.exec("import os\nif 'aziot' not in os.listdir('/'): os.mkdir('/aziot')")
            repl.write_file(f"/{name}.mpy", compiled(source, name))
        repl.exec(_DEVICE)

    def run(
        self, module: str, me: dict[str, Any], radio: bool = False, pace_ms: int = 0
    ) -> dict[str, Any]:
        """Run a phase: what it said, its error, and the milliseconds it took."""
        found = value(self.repl, f"run({module!r}, {radio}, {me!r}, {pace_ms})")
        assert isinstance(found, dict)
        return found

    def value(self, code: str) -> Any:
        """The value of the last line of code, on the board."""
        return value(self.repl, code)
