"""A virtual board that is flashed as a real one is: its boot loader and its MicroPython, in turn.

Run as `python -m firstlight.loaderunit FOLDER [outlive]` (unitpower.py says how it is switched
off). Only decides which of the two has the chip, as a chip does: by what lies in its flash, and by
what the host does. One process and one interpreter: neither outlives the other.

VIRTUAL_ESP32: one serial port. esptool's first word is the reset into the loader; the application
starts when the host talks to it, or has let go of the port for a moment. VIRTUAL_PICO_W: a volume
while its flash is bare and after machine.bootloader(), a serial port while its MicroPython runs.
"""

import select
import sys
import time
from collections.abc import Callable
from typing import Any

from . import boards
from .boardport import read_some, write_some
from .bridge import Bridge
from .chipflash import ChipFlash
from .errors import UsageError
from .flash import partitions
from .interpreter import Parts, command
from .loader_esp import Cells, End, EspPort, Loader
from .loader_uf2 import await_uf2, remove_volume, volume, write
from .unitfolder import ESP32, FLASH_FILE, NVS_FILE, Settings
from .unitpower import Power, powered, publish

_LEFT_S = 1.0  # the next esptool of the same job comes sooner
_LOOK_MS = 20
_NVS_AT, _NVS_SIZE = 0x9000, 0x6000  # where an image has no table; boards/VIRTUAL/esp32.py's
_TABLE_SIZE = 0xC00
_IMAGE_MAGIC = 0xE9  # of an ESP32's application (esptool, bin_image.py)
_BOOT2_SIZE = 256  # of an RP2040's firmware: its first page
_WORN_BYTES = 16
_ROM_SAYS = b"invalid header: 0xffffffff\r\n"


def main(argv: list[str]) -> int:
    """Power the unit in the folder that argv names. Return the exit code."""
    return powered(argv, _run)


def _run(power: Power) -> int:
    settings = Settings.load(power.folder)
    command()  # raises UsageError while somebody listens
    with ChipFlash(power.folder) as flash:
        unit = _Esp32(power, settings, flash) if settings.kind == ESP32 else None
        turn: Any = (unit or _PicoW(power, settings, flash)).start()
        while turn is not None:
            turn = turn()
    return 0


class _Esp32:
    """A chip with one serial port. Each turn returns the next one; None: the power is off."""

    def __init__(self, power: Power, settings: Settings, flash: ChipFlash) -> None:
        self._power, self._settings, self._flash = power, settings, flash
        self._board = boards.load(settings.kind)
        self._port = EspPort()
        worn = settings.worn_at
        cells = slice(worn, worn + _WORN_BYTES) if worn is not None else None
        self._loader = Loader(
            settings.unique_id, Cells(flash.data, cells) if cells else flash.data
        )
        self._halted = False  # its file system is damaged
        self._starts_at = time.monotonic()

    def start(self) -> Callable[[], Any]:
        """Tell that the power is on. Return the first turn."""
        publish(self._power.folder, self._port.path, None)
        self._power.on(self._port.path)
        return self._wait

    def _wait(self) -> Any:
        """The chip is in its ROM, and nobody has said what for."""
        poll = select.poll()
        for fd in (self._power.leash, self._power.wake):
            poll.register(fd, select.POLLIN)
        boots = self._boots()
        while not poll.poll(0 if boots and time.monotonic() >= self._starts_at else _LOOK_MS):
            data = read_some(self._port.fd) if self._port.held() else b""
            if data.startswith(b"\xc0"):
                self._port.kept = data
                return self._download
            if data and not boots:
                write_some(self._port.fd, _ROM_SAYS)
            elif boots and (data or time.monotonic() >= self._starts_at):
                self._port.kept = data
                return self._application
        return None

    def _download(self) -> Any:
        end = self._loader.serve(self._port, self._power.leash, self._power.wake)
        self._halted = False
        self._starts_at = time.monotonic() + (_LEFT_S if end == End.HUNG_UP else 0)
        if end == End.TYPED and self._boots():
            return self._application
        return None if end == End.OFF else self._wait

    def _application(self) -> Any:
        bridge = Bridge(self._power.folder, self._settings, self._port, self._parts())
        bridge.hear(self._port.kept)
        self._port.kept = b""
        self._halted = bridge.run(self._power.leash, self._power.wake) != 0
        if not bridge.wants_loader and not self._halted:
            return None
        publish(self._power.folder, self._port.path, None)
        return self._download if bridge.wants_loader else self._wait

    def _boots(self) -> bool:
        image_at = self._board.flash_offset or 0
        is_there = self._flash.data[image_at] == _IMAGE_MAGIC
        return not self._halted and (is_there or self._flash.has_littlefs(self._file_system()[1]))

    def _parts(self) -> Parts:
        parts = {FLASH_FILE: self._file_system()}
        table = self._table()
        nvs = table.get("nvs") if table else None
        at, size = (nvs.offset, nvs.size) if nvs else (_NVS_AT, _NVS_SIZE)
        if size >= _NVS_SIZE:
            parts[NVS_FILE] = (FLASH_FILE, at, _NVS_SIZE)
        return parts

    def _file_system(self) -> tuple[str, int, int]:
        table, place = self._table(), self._board.filesystem
        if table is not None:
            found = table.file_system(self._board.flash_bytes)
            return FLASH_FILE, found.offset, found.size
        assert place is not None  # noqa: S101  its board.json says it
        return FLASH_FILE, place.offset, place.size

    def _table(self) -> partitions.Table | None:
        """The partition table in the flash, if MicroPython could use it."""
        at = partitions.TABLE_AT
        try:
            table = partitions.read(self._flash.data[at : at + _TABLE_SIZE], at)
            table.file_system(self._board.flash_bytes)
        except UsageError:
            return None
        return table


class _PicoW:
    """A chip whose USB is a volume or a serial port. Each turn returns the next one, or None."""

    def __init__(self, power: Power, settings: Settings, flash: ChipFlash) -> None:
        self._power, self._settings, self._flash = power, settings, flash
        board = boards.load(settings.kind)
        assert board.uf2 is not None and board.filesystem is not None  # noqa: S101, PT018
        self._uf2, self._place = board.uf2, board.filesystem
        self._announced = False

    def start(self) -> Callable[[], Any]:
        """Return the first turn, which tells that the power is on."""
        remove_volume(self._power.folder)  # of one that was killed
        return self._application if self._boots() else self._bootsel

    def _bootsel(self) -> Any:
        publish(self._power.folder, None, None)
        with volume(self._power.folder) as shown:
            self._tell(None)
            blocks = await_uf2(shown, self._uf2, self._power.leash, self._power.wake)
            if blocks is None:
                return None
            write(self._flash, blocks, self._uf2)
        return self._application if self._boots() else self._bootsel

    def _application(self) -> Any:
        if not self._flash.has_littlefs(self._place.offset):
            self._format()
        parts = {FLASH_FILE: (FLASH_FILE, self._place.offset, self._place.size)}
        bridge = Bridge(self._power.folder, self._settings, None, parts)
        self._tell(bridge.port.path)
        halted = bridge.run(self._power.leash, self._power.wake) != 0
        bridge.port.close()
        if halted:
            self._format()
            return self._application
        return self._bootsel if bridge.wants_loader else None

    def _format(self) -> None:
        """ports/rp2/modules/_boot.py makes a new file system where it cannot mount the one."""
        self._flash.erase_all(self._place.offset, self._place.size)

    def _boots(self) -> bool:
        boot2 = self._flash.data[:_BOOT2_SIZE]
        has_firmware = boot2 != b"\xff" * _BOOT2_SIZE
        return has_firmware or self._flash.has_littlefs(self._place.offset)

    def _tell(self, port: str | None) -> None:
        if not self._announced:
            self._power.on(port)
        self._announced = True


if __name__ == "__main__":
    sys.exit(main(sys.argv))
