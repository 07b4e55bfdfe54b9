"""The radio and the cable of a virtual board, as upstream's drivers behave, traps and all."""

import json

import pytest
from click.testing import CliRunner

from firstlight import virtual
from firstlight.cli.virtual import virtual as virtual_verb
from firstlight.errors import UsageError
from firstlight.repl import BoardExecError, Repl

from .conftest import PROMPT
from .test_stand_ins import errno_of, value

RADIO = """
import network, time
w = network.WLAN(network.STA_IF)
def settled(done, most_ms=3000):
    start = time.ticks_ms()
    while not done() and time.ticks_diff(time.ticks_ms(), start) < most_ms:
        time.sleep_ms(2)
    return [w.isconnected(), w.status(), w.ifconfig()[0] != '0.0.0.0']
def left():
    w.disconnect()
    return settled(lambda: not w.isconnected() and w.status() == 1000)
def joined(ssid, key):
    w.connect(ssid, key)
    return settled(lambda: w.isconnected() or w.status() in (201, 202))
"""
IN, OUT = [True, 1010, True], [False, 1000, False]


@pytest.fixture
def radio(repl: Repl) -> Repl:
    """A board with its radio on, and the functions of RADIO."""
    repl.exec(RADIO + "w.active(True)")
    return repl


def test_the_radio_joins_a_listed_network_after_a_while(radio: Repl) -> None:
    assert value(radio, "w.connect('home', 'secret')\n[w.isconnected(), w.status()]") == [
        False,
        1001,
    ]
    assert value(radio, "settled(w.isconnected)") == IN
    assert value(radio, "left()") == OUT
    assert value(radio, "joined('cafe', '')") == IN


def test_a_disconnect_is_noticed_a_little_later(radio: Repl) -> None:
    radio.exec("joined('home', 'secret')")
    assert value(radio, "w.disconnect()\nw.isconnected()") is True
    assert value(radio, "settled(lambda: not w.isconnected())") == OUT
    assert value(radio, "w.connect('home', 'secret')\nw.status()") == 1000


def test_the_radio_tells_why_it_did_not_join_and_tells_it_for_long(radio: Repl) -> None:
    assert value(radio, "joined('elsewhere', 'secret')") == [False, 201, False]
    radio.exec("left()")
    assert value(radio, "joined('home', 'wrong')") == [False, 202, False]
    assert value(radio, "w.disconnect()\nw.connect('home', 'secret')\nw.status()") == 202
    assert value(radio, "settled(w.isconnected)") == IN


def test_a_radio_that_tries_takes_no_other_try_and_hears_nothing(radio: Repl) -> None:
    radio.exec("joined('home', 'wrong')")
    assert value(radio, "w.scan()") == []
    assert errno_of(radio, "w.connect('home', 'secret')") == "Wifi Internal State Error"


def test_the_radio_joins_by_itself_when_its_network_comes_back(
    radio: Repl, powered: virtual.VirtualBoard
) -> None:
    radio.exec("joined('home', 'secret')")
    powered.set_air(wifi={})
    assert value(radio, "settled(lambda: w.status() == 201)") == [False, 201, False]
    powered.set_air()
    assert value(radio, "settled(w.isconnected)") == IN


def test_a_radio_that_lies_does_so_until_it_is_switched_off(
    radio: Repl, powered: virtual.VirtualBoard
) -> None:
    radio.exec("joined('home', 'secret')")
    powered.set_air(wifi={}, quirks=["lies"])
    assert value(radio, "settled(lambda: not w.isconnected(), 800)") == IN
    assert value(radio, "w.active(False)\nw.active(True)\n[w.isconnected(), w.status()]") == [
        False,
        1000,
    ]


def test_without_a_lease_there_is_no_address_but_a_static_one(
    radio: Repl, powered: virtual.VirtualBoard
) -> None:
    powered.set_air(quirks=["no lease"])
    assert value(radio, "w.connect('home', 'secret')\nsettled(w.isconnected, 500)") == [
        False,
        1001,
        False,
    ]
    powered.set_air(quirks=["lease lost"])
    assert value(radio, "settled(w.isconnected)") == [True, 1010, False]
    static = ["10.0.0.17", "255.255.255.0", "10.0.0.1", "10.0.0.2"]
    assert value(radio, f"w.ifconfig({static})\nw.ifconfig()") == static
    assert value(radio, "w.ipconfig(dhcp4=True)\nw.ifconfig()[0]") == "0.0.0.0"


def test_a_scan_shows_every_access_point_but_no_hidden_name(
    radio: Repl, powered: virtual.VirtualBoard
) -> None:
    powered.set_air(rssi={"home": [-80, -40], "cafe": -60}, hidden=["cafe"])
    assert value(radio, "[[n[0].decode(), n[3], n[4]] for n in w.scan()]") == [
        ["home", -40, 3],
        ["", -60, 0],
        ["home", -80, 3],
    ]
    powered.set_air(quirks=["scan fails"])
    assert errno_of(radio, "w.scan()") == "STA must be active"


def test_the_radio_knows_its_name_and_does_nothing_while_off(repl: Repl) -> None:
    repl.exec(RADIO)
    assert errno_of(repl, "w.connect('home', 'secret')") == "Wifi Not Started"
    assert errno_of(repl, "w.disconnect()") == "Wifi Not Started"
    assert value(repl, "list(w.config('mac'))") == list(bytes.fromhex("a1b2c3d4e5f6"))
    assert value(repl, "network.hostname('me')\nnetwork.hostname()") == "me"
    assert value(repl, "w is network.WLAN(network.WLAN.IF_STA)") is True
    assert value(repl, "import sys\n'_air' in sys.modules or hasattr(network, 'LAN')") is False


LAN = """
import machine, network, time
def spi(): return machine.SPI(1, sck=machine.Pin(12), mosi=machine.Pin(11), miso=machine.Pin(13))
def lan(bus, interrupt=4):
    return network.LAN(phy_type=network.PHY_W5500, phy_addr=0, spi=bus, cs=machine.Pin(10),
        int=interrupt and machine.Pin(interrupt), reset=None)
def settled(want):
    start = time.ticks_ms()
    while n.status() != want and time.ticks_diff(time.ticks_ms(), start) < 3000:
        time.sleep_ms(2)
    return [n.isconnected(), n.ifconfig()[0] != '0.0.0.0']
"""


@pytest.fixture
def wired(board: virtual.VirtualBoard) -> virtual.VirtualBoard:
    """A board with a W5500, its cable in, on."""
    board.set_air(cable=True)
    board.power_on()
    board.read_console_until(PROMPT, 10)
    return board


def test_a_wired_board_gets_an_address_while_the_cable_is_in(wired: virtual.VirtualBoard) -> None:
    with Repl(wired.port or "") as repl:
        repl.exec(LAN + "n = lan(spi())\nn.active(True)")
        assert value(repl, "settled(5)") == [True, True]
        assert value(repl, "lan(None) is n") is True
        wired.set_air(cable=False)
        assert value(repl, "settled(4)") == [False, False]
        wired.set_air(cable=True, quirks=["no lease"])
        assert value(repl, "settled(1)") == [False, False]
        static = ["10.0.0.17", "255.255.255.0", "10.0.0.1", "10.0.0.2"]
        assert value(repl, f"n.ifconfig({static})\nsettled(5)") == [True, True]


def test_a_second_bus_takes_the_w5500_off_the_network(wired: virtual.VirtualBoard) -> None:
    with Repl(wired.port or "") as repl:
        repl.exec(LAN + "n = lan(spi())\nn.active(True)\nsettled(5)\nspi()")
        assert value(repl, "settled(4)") == [False, False]


def test_a_w5500_that_failed_once_fails_until_a_reset(wired: virtual.VirtualBoard) -> None:
    with Repl(wired.port or "") as repl:
        repl.exec(LAN)
        failed = "esp_eth_driver_install failed with invalid argument"
        assert errno_of(repl, "lan(spi(), None)") == failed
        assert errno_of(repl, "lan(spi())") == failed
        with pytest.raises(BoardExecError, match="TypeError"):
            repl.exec("lan(None)")
        repl.reset()
    wired.read_console_until(PROMPT, 10)
    with Repl(wired.port or "") as repl:
        repl.exec(LAN + "lan(spi())")


def test_the_air_is_changed_from_the_command_line(board: virtual.VirtualBoard) -> None:
    def air(*words: str) -> object:
        done = CliRunner().invoke(virtual_verb, ["air", str(board.folder), *words])
        if done.exception is not None:
            raise done.exception
        return json.loads((board.folder / virtual.AIR_FILE).read_bytes())

    assert air("--without", "home", "--quirk", "lies", "--hidden", "cafe", "--no-cable") == {
        "wifi": {"cafe": ""},
        "quirks": ["lies"],
        "hidden": ["cafe"],
        "cable": False,
    }
    assert air("--rssi", "home=-70") == {"rssi": {"home": -70}}
    assert air() == {}
    with pytest.raises(UsageError, match="SSID=DBM"):
        air("--rssi", "home=loud")
    for wish in (("--without", "hone"), ("--hidden", "hone"), ("--rssi", "hone=-70")):
        with pytest.raises(UsageError, match="without a network 'hone'"):
            air(*wish)


def test_the_air_cannot_be_what_no_air_is(board: virtual.VirtualBoard) -> None:
    with pytest.raises(UsageError, match="quirk"):
        board.set_air(quirks=["haunted"])
    with pytest.raises(UsageError, match="1 to 32 bytes"):
        board.set_air(wifi={"": ""})
