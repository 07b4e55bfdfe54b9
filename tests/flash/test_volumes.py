"""Drives of UF2 boot loaders: what is one, and where it is plugged in."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstlight.errors import UsageError
from firstlight.flash.bootroms import Loader, loaders
from firstlight.flash.volumes import Volume, parsed, usb_path, volume_at, volumes
from tests.flash.usbmachine import RP2, RP2350, USB, Machine, a_drive


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_both_boot_roms_say_which_they_are() -> None:
    assert parsed(RP2) == ("RPI-RP2", "Raspberry Pi RP2")
    assert parsed(RP2350) == ("RP2350", "Raspberry Pi RP2350")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"Board-ID: RPI-RP2\n",
        b"UF2 Bootloader v3.0\nModel: Raspberry Pi RP2\n",
        b"UF2 Bootloader v3.0\nBoard-ID: \n",
        b"UF2 Bootloader v3.0\nBoard-ID: \x1b[2J\n",
        b"UF2 Bootloader v3.0\nBoard-ID: " + b"A" * 65,
    ],
)
def test_what_does_not_say_it_is_no_drive(raw: bytes) -> None:
    assert parsed(raw) is None


@given(st.binary(max_size=300), st.binary(max_size=80))
def test_what_a_drive_says_never_steers_the_screen(model: bytes, board_id: bytes) -> None:
    found = parsed(b"UF2 Bootloader\nModel:" + model + b"\nBoard-ID:" + board_id)
    assert found is None or all(text.isprintable() and len(text) <= 64 for text in found)


def test_only_a_plain_short_file_tells_of_a_drive(tmp_path: Path) -> None:
    a_drive(tmp_path / "long", RP2 + b" " * 3000)
    (tmp_path / "pipe").mkdir()
    os.mkfifo(tmp_path / "pipe" / "INFO_UF2.TXT")
    (tmp_path / "folder" / "INFO_UF2.TXT").mkdir(parents=True)
    assert volumes([tmp_path, tmp_path / "none"]) == []


def test_a_place_is_a_drive_or_holds_some(tmp_path: Path) -> None:
    one, other = a_drive(tmp_path / "RPI-RP2"), a_drive(tmp_path / "RP2350", RP2350)
    a_drive(tmp_path / "RPI-RP2.new")  # one that is still being made
    assert [found.path for found in volumes([tmp_path])] == [other, one]
    assert volumes([one]) == [Volume(one, "RPI-RP2", "Raspberry Pi RP2", str(tmp_path))]


def test_a_mounted_drive_has_the_seat_of_its_usb_device(machine: Machine, tmp_path: Path) -> None:
    machine.plug("1-1.4", drive="sda")
    drive = a_drive(tmp_path / "media" / "RPI RP2")
    machine.mount("sda1", drive)
    machine.mount("sdb1", a_drive(tmp_path / "media" / "ext"), "ext4")
    (found,) = volumes(host=machine.host)
    assert (found.path, found.seat, found.device) == (drive, "1-1.4", "sda1")
    assert volume_at(drive, machine.host) == found
    assert found.is_there(machine.host)
    machine.unplug("sda1")  # while its pages can still be read
    assert not found.is_there(machine.host)


def test_a_folder_that_is_no_drive_is_refused(machine: Machine, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not the drive of a board"):
        volume_at(tmp_path, machine.host)


def test_a_drive_that_is_not_mounted_is_found_on_the_usb(machine: Machine) -> None:
    machine.plug("1-1.2", drive="sda")
    machine.plug("1-1.3", product="000f")
    machine.plug("1-1.5", product="0005")  # MicroPython runs
    machine.plug("1-1.6", vendor="0781")
    (machine.host.sys / USB / "1-1.6" / "idVendor").write_bytes(b"\xff" * 100)
    assert loaders(machine.host) == [
        Loader("1-1.2", "RPI-RP2", 1, 2, "sda1"),
        Loader("1-1.3", "RP2350", 1, 3, None),
    ]


def test_a_usb_path_is_that_of_the_device_itself() -> None:
    assert usb_path("/sys/devices/pci/usb1/1-1/1-1.4/1-1.4:1.0/host3/block/sda/sda1") == "1-1.4"
    assert usb_path("/sys/devices/pci/ata1/host0/block/sda/sda1") == ""
