"""wifi.py on a virtual board: which network it joins, when it gives up, and what it says."""

from typing import Any

import pytest

from firstlight import virtual
from firstlight.repl import Repl

from .lab import Lab

HOME = {"ssid": "home", "password": "secret"}
CAFE = {"ssid": "cafe"}
GONE = {"ssid": "gone", "password": "12345678"}
WRONG = {"ssid": "home", "password": "not this one"}
STATIC = {"ifconfig": ["10.0.0.17", "255.255.255.0", "10.0.0.1", "10.0.0.2"]}


@pytest.fixture
def lab(repl: Repl) -> Lab:
    """A board of conftest.py, with the networks home and cafe in reach."""
    return Lab(repl)


def join(lab: Lab, *wifi: dict[str, Any], radio: bool = False) -> dict[str, Any]:
    return lab.run("wifi", {"wifi": list(wifi)}, radio)


def joined(lab: Lab, *wifi: dict[str, Any], radio: bool = False) -> str:
    found = join(lab, *wifi, radio=radio)
    assert found["error"] is None
    step, text = found["said"]
    assert step == "wifi"
    return str(text)


def test_the_strongest_network_is_joined_first(lab: Lab, powered: virtual.VirtualBoard) -> None:
    powered.set_air(rssi={"home": -80, "cafe": -60})
    assert joined(lab, HOME, CAFE) == "joined cafe as 127.0.0.1"
    lab.run("wifi", {"wifi": []}, radio=True)
    powered.set_air(rssi={"home": [-90, -40], "cafe": -60})
    assert joined(lab, CAFE, HOME) == "joined home as 127.0.0.1"
    assert joined(lab, CAFE, HOME) == "on the network as 127.0.0.1"


def test_the_only_network_is_joined_without_a_scan(lab: Lab) -> None:
    lab.repl.exec("network.WLAN.scan = None")
    assert joined(lab, HOME) == "joined home as 127.0.0.1"


def test_hidden_networks_are_tried_in_their_order_when_no_other_lets_us_in(
    lab: Lab, powered: virtual.VirtualBoard
) -> None:
    powered.set_air(hidden=["home"])
    assert joined(lab, GONE, HOME, CAFE) == "joined cafe as 127.0.0.1"
    powered.set_air(wifi={"home": "secret"}, hidden=["home"])
    assert joined(lab, GONE, HOME, CAFE) == "joined home as 127.0.0.1"


def test_without_a_scan_the_networks_are_tried_in_their_order(
    lab: Lab, powered: virtual.VirtualBoard
) -> None:
    powered.set_air(quirks=["scan fails"], rssi={"home": -90})
    assert joined(lab, GONE, HOME, CAFE) == "joined home as 127.0.0.1"


def test_a_radio_that_tries_to_reconnect_is_stopped_before_the_scan(
    lab: Lab, powered: virtual.VirtualBoard
) -> None:
    joined(lab, HOME)
    powered.set_air(wifi={"cafe": "", "attic": "x"}, rssi={"attic": -30})
    attic = {"ssid": "attic", "password": "x"}
    assert joined(lab, HOME, CAFE, attic) == "joined attic as 127.0.0.1"


def test_why_no_network_let_us_in_is_told_without_a_password(lab: Lab) -> None:
    found = join(lab, GONE, WRONG)
    assert found["error"] == (
        "[Errno 113] EHOSTUNREACH: joined none of home: wrong password, gone: no ap found"
    )
    assert "joined none of no networks" in join(lab)["error"]


def test_a_refusal_ends_a_try_before_its_time(lab: Lab) -> None:
    found = join(lab, WRONG, GONE)
    assert 10000 < found["ms"] < 11000
    assert join(lab, WRONG)["ms"] < 6000


def test_a_refusal_that_does_not_stay_is_overlooked(lab: Lab) -> None:
    """As an ESP32 near its access point's restart: no, no, yes (micropython#4842)."""
    lab.repl.exec(
        "now = network._air.now\n"
        "network._air.now = lambda: now() if Clock.now > 3000 else now() | {'wifi': {}}"
    )
    assert joined(lab, HOME) == "joined home as 127.0.0.1"


def test_the_last_networks_refusal_is_not_the_next_ones(lab: Lab) -> None:
    """A driver that does not tell that it left shows the old refusal until the new outcome."""
    lab.repl.exec(
        "now = network._air.now\n"
        "network._air.now = lambda: now() | {'join_ms': 8000}\n"
        "def disconnect(self): self._wanted = None\n"
        "network.WLAN.disconnect = disconnect"
    )
    assert joined(lab, WRONG, CAFE) == "joined cafe as 127.0.0.1"


def test_every_try_is_bounded(lab: Lab, powered: virtual.VirtualBoard) -> None:
    powered.set_air(quirks=["no lease"])
    found = join(lab, HOME, CAFE)
    assert "home: status 1001, cafe: status 1000" in found["error"]
    assert 40000 <= found["ms"] < 41000
    powered.set_air()
    assert joined(lab, HOME, CAFE) == "joined home as 127.0.0.1"


def test_a_driver_that_flatters_and_refuses_by_turns_is_bounded_too(lab: Lab) -> None:
    lab.repl.exec("network.WLAN.status = lambda self: 201 + Clock.now // 50 % 2")
    assert join(lab, GONE)["ms"] < 21000


def test_one_network_that_the_driver_does_not_take_leaves_the_others(lab: Lab) -> None:
    lab.repl.exec(
        "connect = network.WLAN.connect\n"
        "def picky(self, ssid, key):\n"
        "    if ssid == 'home': raise OSError('Wifi Invalid Password')\n"
        "    connect(self, ssid, key)\n"
        "network.WLAN.connect = picky"
    )
    assert joined(lab, HOME, CAFE) == "joined cafe as 127.0.0.1"
    lab.run("wifi", {"wifi": []}, radio=True)
    assert "home: Wifi Invalid Password" in join(lab, HOME)["error"]


def test_a_network_that_goes_and_comes_back_is_joined_again(
    lab: Lab, powered: virtual.VirtualBoard
) -> None:
    joined(lab, HOME)
    powered.set_air(wifi={})
    assert "home: no ap found" in join(lab, HOME)["error"]
    powered.set_air()
    assert joined(lab, HOME) == "joined home as 127.0.0.1"


def test_a_connection_without_an_address_is_none(lab: Lab, powered: virtual.VirtualBoard) -> None:
    joined(lab, HOME)
    powered.set_air(quirks=["lease lost"])
    assert "home: status 1010" in join(lab, HOME)["error"]
    powered.set_air()
    assert joined(lab, HOME) == "joined home as 127.0.0.1"


def test_a_radio_that_lies_is_found_out_by_a_restart(
    lab: Lab, powered: virtual.VirtualBoard
) -> None:
    joined(lab, HOME)
    powered.set_air(wifi={"cafe": ""}, quirks=["lies"])
    assert joined(lab, HOME, CAFE) == "on the network as 127.0.0.1"
    assert joined(lab, HOME, CAFE, radio=True) == "joined cafe as 127.0.0.1"
    powered.set_air(wifi={"cafe": ""})
    assert joined(lab, HOME, CAFE) == "on the network as 127.0.0.1"  # it was no lie


def test_a_restart_of_a_radio_that_is_off_is_none_the_worse(lab: Lab) -> None:
    assert joined(lab, HOME, radio=True) == "joined home as 127.0.0.1"
    assert lab.value("device.nic is network.WLAN(network.STA_IF)") is True


def test_a_static_address_is_its_networks_alone(lab: Lab, powered: virtual.VirtualBoard) -> None:
    assert joined(lab, HOME | STATIC, CAFE) == "joined home as 10.0.0.17"
    assert lab.value("device.nic.ifconfig()") == STATIC["ifconfig"]
    powered.set_air(wifi={"cafe": ""})
    assert joined(lab, HOME | STATIC, CAFE) == "joined cafe as 127.0.0.1"


@pytest.mark.parametrize("first", ["", "raise OSError(0x5004)"])
def test_an_older_port_takes_a_static_address_back_in_its_own_way(
    lab: Lab, powered: virtual.VirtualBoard, first: str
) -> None:
    """An ESP32's before MicroPython 1.24, which raises if its DHCP runs already."""
    lab.repl.exec(
        "del network.WLAN.ipconfig\n"
        "asked = []\n"
        "own = network.WLAN.ifconfig\n"
        "def ifconfig(self, *settings):\n"
        "    if settings == ('dhcp',):\n"
        "        asked.append(1)\n"
        f"        {first or 'pass'}\n"
        "    return own(self, *settings)\n"
        "network.WLAN.ifconfig = ifconfig"
    )
    powered.set_air(wifi={"cafe": ""})
    joined(lab, HOME | STATIC, CAFE)
    assert lab.value("asked") == [1]


def test_a_pico_w_is_kept_awake_and_its_chip_is_switched_off_for_a_restart(
    lab: Lab, powered: virtual.VirtualBoard
) -> None:
    """Its driver ignores active(False), and has a deinit() that an ESP32's has not."""
    joined(lab, HOME)
    assert lab.value("device.nic.config('pm') == network.WLAN.PM_PERFORMANCE") is True
    lab.repl.exec(
        "off = network.WLAN.active\n"
        "network.WLAN.active = lambda self, on=None: off(self, on or None)\n"
        "network.WLAN.deinit = lambda self: off(self, False)"
    )
    powered.set_air(wifi={"cafe": ""}, quirks=["lies"])
    assert joined(lab, CAFE, radio=True) == "joined cafe as 127.0.0.1"
    assert lab.value("device.nic.config('pm') == network.WLAN.PM_NONE") is True
    powered.set_air(wifi={"cafe": ""})
    assert joined(lab, CAFE) == "on the network as 127.0.0.1"
