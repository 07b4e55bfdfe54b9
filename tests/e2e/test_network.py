"""The way to the hub begins with a network: one that refuses, comes late, or is a cable."""

import base64

from tests.e2e.bench import NAME, WIFI, Bench

SSID = next(iter(WIFI))
WRONG_KEY = base64.b64encode(b"another key, which is not enrolled").decode()
WAIT_S = 20.0
SPEED = 50  # of the waits: a try takes 5 s at least, and the next one comes 5 s later
PINS = {"spi": 1, "sck": 12, "mosi": 11, "miso": 13, "cs": 10, "int": 4}
STATIC = {"ifconfig": ["10.0.0.17", "255.255.255.0", "10.0.0.1", "10.0.0.2"]}


def until(bench: Bench, text: str) -> str:
    """What the console said, up to text."""
    return bench.board.read_console_until(text, WAIT_S).decode()


def test_a_wrong_wifi_password_is_told_without_the_password(bench: Bench) -> None:
    networks = [{"ssid": "elsewhere"}, {"ssid": SSID, "password": "not this one"}]
    bench.give(bench.document(WRONG_KEY, wifi=networks))
    bench.tune(speed=SPEED)
    with bench.board:
        said = until(bench, "; next in ")
    assert "joined none of bench: wrong password, elsewhere: no ap found" in said
    assert "not this one" not in said


def test_a_network_that_comes_late_is_joined_when_it_comes(bench: Bench) -> None:
    bench.give(bench.document(bench.group_key()[1]))
    bench.tune(speed=SPEED)
    bench.board.set_air(wifi={})
    with bench.board:
        assert "bench: no ap found" in until(bench, "; next in ")
        bench.board.set_air()
        assert "joined bench as 127.0.0.1" in until(bench, "connected to localhost")
        assert bench.azure.wait_for_telemetry(1, NAME, WAIT_S)


def test_a_wired_board_reaches_its_hub_without_wifi(bench: Bench) -> None:
    key = bench.group_key()[1]
    bench.give(bench.document(key, wifi=[], ethernet=PINS | STATIC))
    bench.board.set_air(wifi={}, cable=True)
    with bench.board:
        assert "on the network as 10.0.0.17" in until(bench, "connected to localhost")
        assert bench.azure.wait_for_telemetry(1, NAME, WAIT_S)
