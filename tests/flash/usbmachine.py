"""A folder that tells of USB drives as Linux does, and drives as boot ROMs show them."""

from pathlib import Path

from firstlight.flash.volumes import Host

# As the boot ROMs of an RP2040 and an RP2350 have them.
RP2 = b"UF2 Bootloader v3.0\nModel: Raspberry Pi RP2\nBoard-ID: RPI-RP2\n"
RP2350 = b"UF2 Bootloader v1.0\r\nModel: Raspberry Pi RP2350\r\nBoard-ID: RP2350\r\n"
USB = "devices/pci0000:00/0000:00:14.0/usb1/1-1"


def a_drive(folder: Path, info: bytes = RP2) -> Path:
    folder.mkdir(parents=True)
    (folder / "INFO_UF2.TXT").write_bytes(info)
    return folder


class Machine:
    """A folder that tells of the USB as Linux does."""

    def __init__(self, folder: Path) -> None:
        self.host = Host(mounts=folder / "mounts", sys=folder / "sys")
        self._sys, self._mounts = folder / "sys", folder / "mounts"
        (self._sys / "class" / "block").mkdir(parents=True)
        (self._sys / "bus" / "usb" / "devices").mkdir(parents=True)
        self._mounts.write_text("proc /proc proc rw 0 0\nserver:/home /home nfs rw 0 0\n")

    def plug(
        self, seat: str, product: str = "0003", vendor: str = "2e8a", drive: str = ""
    ) -> None:
        device = self._sys / USB / seat
        device.mkdir(parents=True)
        facts = {"idVendor": vendor, "idProduct": product, "busnum": "1", "devnum": seat[-1]}
        for name, text in facts.items():
            (device / name).write_text(text + "\n")
        (self._sys / "bus" / "usb" / "devices" / seat).symlink_to(device)
        for name in (drive, drive + "1") if drive else ():
            block = device / f"{seat}:1.0/host3/target3:0:0/3:0:0:0/block" / name
            block.mkdir(parents=True)
            (self._sys / "class" / "block" / name).symlink_to(block)

    def unplug(self, drive: str) -> None:
        (self._sys / "class" / "block" / drive).unlink()

    def mount(self, device: str, path: Path, kind: str = "vfat") -> None:
        with self._mounts.open("a") as file:
            file.write(f"/dev/{device} {str(path).replace(' ', chr(92) + '040')} {kind} rw 0 0\n")
