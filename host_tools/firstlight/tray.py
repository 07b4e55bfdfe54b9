"""A tray of mixed virtual units, to be flashed, injected and proven side by side.

Each unit is a folder that shows what a hub of the operator's would: FOLDER/unit-N/port or
FOLDER/unit-N/RPI-RP2. Only switches power; what is wrong with a unit is wrong with the unit.
"""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

from .errors import UsageError
from .unitfolder import ESP32, PICO_W, SETTINGS_FILE, VIRTUAL, write_beside
from .virtual import VirtualBoard
from .virtual import make as make_unit

UNITS = {  # the kind, and the chip's id
    "unit-1": (PICO_W, "e6614104f1000001"),
    "unit-2": (ESP32, "240ac4f10002"),
    "unit-3": (VIRTUAL, "f10000000003"),
    "unit-4": (ESP32, "240ac4f10004"),
    "unit-5": (PICO_W, "e6614104f1000005"),
    "unit-6": (ESP32, "240ac4f10006"),
    "unit-7": (PICO_W, "e6614104f1000007"),
    "unit-8": (VIRTUAL, "f10000000008"),
}
_SUPERBLOCK_AT = 0x200008  # of an ESP32's file system: what its MicroPython looks for first


class Tray:
    """Units by their names. As a context manager: all plugged in, and pulled out at the end."""

    def __init__(self, folder: Path, units: list[VirtualBoard]) -> None:
        self.folder, self.units = folder, units

    @property
    def ports(self) -> str:
        """A glob for the serial ports of the units that show one."""
        return str(self.folder / "unit-*" / "port")

    @property
    def volumes(self) -> str:
        """A glob for the volumes of the units that are in their UF2 boot loader."""
        return str(self.folder / "unit-*" / "RPI-RP2")

    def power_on(self) -> None:
        """Switch all on, side by side. Raise BoardError for one that does not start."""
        with ThreadPoolExecutor(len(self.units)) as pool:
            list(pool.map(VirtualBoard.power_on, self.units))

    def unit(self, name: str) -> VirtualBoard:
        """The unit of that name, which is its folder's. Raise UsageError if there is none."""
        found = next((unit for unit in self.units if unit.folder.name == name), None)
        if found is None:
            raise UsageError(f"the tray has no {name!r}")
        return found

    def pull(self, name: str) -> None:
        """Pull a unit out, whatever it is doing."""
        self.unit(name).power_off()

    def put_back(self, name: str) -> None:
        """Plug it in again: it starts, as its flash is now."""
        self.unit(name).power_on()

    def deafen(self, name: str) -> None:
        """Let a unit reach no network: its first boot fails."""
        self.unit(name).set_air(wifi={})

    def wear(self, name: str) -> None:
        """Wear an ESP32's flash out where its file system begins: what is written there is lost.

        The unit must be off. Raise UsageError for another kind.
        """
        unit = self.unit(name)
        if unit.kind != ESP32:
            raise UsageError("only an ESP32's flash can be worn out here")
        path = unit.folder / SETTINGS_FILE
        facts = json.loads(path.read_bytes())
        write_beside(path, json.dumps({**facts, "worn_at": _SUPERBLOCK_AT}).encode())

    def close(self) -> None:
        """Pull all of them out."""
        for unit in self.units:
            unit.power_off()

    def __enter__(self) -> "Tray":
        try:
            self.power_on()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def make(folder: Path, wifi: dict[str, str]) -> Tray:
    """Make UNITS in folder, all bare and without power. wifi: in their air, as in Settings.

    Raise UsageError if the folder holds units already.
    """
    units = []
    for name, (kind, chip_id) in UNITS.items():
        chip = bytes.fromhex(chip_id)
        units.append(make_unit(folder / name, unique_id=chip, wifi=wifi, kind=kind))
    return Tray(folder, units)
