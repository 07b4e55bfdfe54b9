"""ethernet.py on a virtual board with a W5500: the cable, the address, the restart, no driver."""

from typing import Any

import pytest

from firstlight import virtual
from firstlight.repl import Repl

from .conftest import PROMPT
from .lab import Lab

PINS = {"spi": 1, "sck": 12, "mosi": 11, "miso": 13, "cs": 10, "int": 4, "reset": 9}
STATIC: dict[str, Any] = {"ifconfig": ["10.0.0.17", "255.255.255.0", "10.0.0.1", "10.0.0.2"]}


@pytest.fixture
def wired(board: virtual.VirtualBoard) -> virtual.VirtualBoard:
    """A board with a W5500, its cable in, on."""
    board.set_air(cable=True)
    board.power_on()
    board.read_console_until(PROMPT, 10)
    return board


@pytest.fixture
def lab(wired: virtual.VirtualBoard) -> Any:
    with Repl(wired.port or "", timeout_s=10) as repl:
        yield Lab(repl)


def plug(lab: Lab, radio: bool = False, **changes: Any) -> dict[str, Any]:
    return lab.run("ethernet", {"ethernet": PINS | changes}, radio)


def address(lab: Lab, radio: bool = False, **changes: Any) -> str:
    found = lab.run("ethernet", {"ethernet": PINS | changes}, radio, pace_ms=10)
    assert found["error"] is None
    step, text = found["said"]
    assert step == "ethernet"
    return str(text.removeprefix("on the network as "))


def test_a_wired_board_gets_onto_the_network_and_stays_there(lab: Lab) -> None:
    assert address(lab) == "127.0.0.1"
    lab.repl.exec("first = device.nic")
    assert address(lab) == "127.0.0.1"
    assert address(lab, radio=True) == "127.0.0.1"
    assert lab.value("device.nic is first") is True


def test_without_a_cable_the_wait_is_bounded(lab: Lab, wired: virtual.VirtualBoard) -> None:
    wired.set_air(cable=False)
    found = plug(lab)
    assert found["error"] == "[Errno 113] EHOSTUNREACH: no link, or no address (status 4)"
    assert found["ms"] == 20000
    wired.set_air(cable=True)
    assert address(lab) == "127.0.0.1"


def test_a_static_address_needs_nobody_to_give_one(lab: Lab, wired: virtual.VirtualBoard) -> None:
    wired.set_air(cable=True, quirks=["no lease"])
    assert "no address" in plug(lab)["error"]
    assert address(lab, **STATIC) == "10.0.0.17"
    assert lab.value("device.nic.ifconfig()") == STATIC["ifconfig"]


def test_a_driver_that_lies_is_found_out_by_a_restart(
    lab: Lab, wired: virtual.VirtualBoard
) -> None:
    assert address(lab, **STATIC) == "10.0.0.17"
    wired.set_air(cable=False, quirks=["lies"])
    assert address(lab, **STATIC) == "10.0.0.17"
    assert "no link" in plug(lab, radio=True, **STATIC)["error"]


def test_a_w5500_that_did_not_answer_gets_a_reset_when_a_restart_is_due(
    lab: Lab, wired: virtual.VirtualBoard
) -> None:
    """LAN() cannot be made again after it failed once (micropython#19457).

    By way of leave.py, which saves what waits.
    """
    wired.set_air(cable=True, quirks=["no W5500"])
    for radio, called in ((True, None), (False, None), (True, ["leave", "reset"])):
        assert "esp_eth_driver_install failed" in plug(lab, radio)["error"]
        assert lab.value("device.called") == called


def test_pins_that_are_missing_are_an_error_like_any_other(lab: Lab) -> None:
    pins = {name: number for name, number in PINS.items() if name != "int"}
    found = lab.run("ethernet", {"ethernet": pins})
    assert "esp_eth_driver_install failed" in found["error"]
    assert "ENODEV: no W5500: ValueError" in plug(lab, spi=7)["error"]


def test_a_firmware_without_a_driver_is_an_error_like_any_other(repl: Repl) -> None:
    found = plug(Lab(repl))
    assert "ENODEV: no W5500: AttributeError" in found["error"]


def test_an_rp2_is_asked_for_its_own_driver(lab: Lab) -> None:
    """network.WIZNET5K(spi, cs, reset), as docs/library/network.WIZNET5K.rst has it."""
    lab.repl.exec(
        "class Pin:\n"
        "    def __init__(self, id): self.id = id\n"
        "machine.Pin = Pin\n"
        "class WIZNET5K:\n"
        "    def __init__(self, spi, cs, reset): self.pins = [cs.id, reset.id]\n"
        "    def active(self, on): pass\n"
        "    def isconnected(self): return True\n"
        "    looks = 0\n"
        "    def ifconfig(self):\n"
        "        self.looks += 1\n"  # DHCP's answer comes later than the link
        "        return ('10.0.0.3' if self.looks > 2 else '0.0.0.0', '', '', '')\n"
        "network.WIZNET5K = WIZNET5K"
    )
    assert address(lab) == "10.0.0.3"
    assert lab.value("device.nic.pins") == [PINS["cs"], PINS["reset"]]
