"""webtime.py on real MicroPython, over real TLS: the time where UDP does not pass.

The unix port judges certificates by the PC's clock, whatever the board's shows: what a wrong clock
does to a certificate that is right, one that expired does here.
"""

import datetime
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import trustme

from firstlight.emulator.running import RunningAzure, running_azure
from firstlight.emulator.settings import Settings
from tests.board import peers
from tests.board.atonce import at_once
from tests.board.peers import Talk, serving
from tests.board.timepeers import head, sntp, telling, web

NEVER_SET = 946684800  # what an ESP32's clock shows at power-on
NEAR_S = 10
DAY_S = 86400
Play = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def issuer() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def ours(issuer: trustme.CA) -> ssl.SSLContext:
    return peers.server_context(issuer)


@pytest.fixture(scope="module")
def expired(issuer: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    past = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)
    issuer.issue_cert("localhost", not_after=past).configure_cert(context)
    return context


@pytest.fixture(scope="module")
def foreign() -> ssl.SSLContext:
    return peers.server_context(trustme.CA())


@pytest.fixture
def play(issuer: trustme.CA, tmp_path: Path, on_micropython: Any) -> Play:
    root = peers.root_file(issuer, tmp_path)

    def run(*talks: Talk, off_s: float | None = None, **more: Any) -> dict[str, Any]:
        at = NEVER_SET if off_s is None else int(time.time() + off_s)
        with serving(None, *talks) as port:
            me = {"https_port": port, "ntp": more.pop("ntp", [])}
            asked = {"epoch": 2000, "at": at, "me": me, "root": str(root), "first": 15}
            result: dict[str, Any] = on_micropython("clock_probe.py", asked | more)
        assert result["left"] == [], "modules that stay in memory"
        return result

    return run


def assert_right(result: dict[str, Any], moved_s: float, times_set: int) -> None:
    assert result["error"] is None, result
    assert result["moved"] == pytest.approx(moved_s, abs=NEAR_S)
    assert abs(result["off_s"]) < NEAR_S
    assert result["said"][0][1].startswith("set by HTTPS, was off by ")
    assert len(result["set"]) == times_set


def assert_refused(result: dict[str, Any], why: str) -> None:
    assert (result["error"], result["moved"]) == ("ProtocolError", None), result
    assert "HTTPS: " in result["text"]
    assert why in result["text"], result
    assert result["off_s"] == pytest.approx(NEVER_SET - time.time(), abs=NEAR_S), "not set back"


def refused_after_hint(result: dict[str, Any], why: str) -> None:
    assert_refused(result, why)
    assert len(result["set"]) == 2, "to the hint, and back"


@pytest.mark.parametrize("epoch", [1970, 2000])
def test_a_clock_that_was_never_set_is_set_by_a_verified_answer(
    play: Play, ours: Any, epoch: int
) -> None:
    talk = web(ours, head())
    result = play(talk, talk, epoch=epoch)
    assert_right(result, time.time() - NEVER_SET, 3)
    assert result["open"] == 0


def test_a_clock_that_can_be_right_needs_one_connection(play: Play, ours: Any) -> None:
    assert_right(play(web(ours, head()), off_s=-90), 90, 1)
    assert_right(play(web(ours, head()), off_s=40 * DAY_S), 40 * DAY_S, 1)


def test_a_verified_answer_outweighs_a_server_that_lies(play: Play, ours: Any) -> None:
    with sntp(telling(400 * DAY_S)) as hosts:
        result = play(web(ours, head()), off_s=-30 * DAY_S, ntp=hosts)
    assert_right(result, 30 * DAY_S, 1)


def test_there_is_one_connection_at_a_time(play: Play, ours: Any) -> None:
    closed = threading.Event()

    def note(sock: Any, ended: threading.Event) -> None:
        with suppress(OSError):
            sock.recv(1)
        closed.set()

    def second(raw: Any, ended: threading.Event) -> None:
        if closed.wait(10):
            web(ours, head())(raw, ended)

    assert_right(play(web(ours, head(), then=note), second), time.time() - NEVER_SET, 3)


def test_a_certificate_that_the_clock_makes_wrong_is_judged_again_by_a_hint(
    play: Play, ours: Any, expired: Any
) -> None:
    talks = (web(expired, head()), web(ours, head()), web(ours, head()))
    assert_right(play(*talks, off_s=-200 * DAY_S), 200 * DAY_S, 3)


def test_a_hint_alone_is_never_believed(play: Play, ours: Any, foreign: Any, expired: Any) -> None:
    for other in (foreign, expired):
        for first in (ours, other):
            result = play(web(first, head()), web(other, head()))
            refused_after_hint(result, "certificate")


def test_a_host_of_another_name_is_not_believed(
    play: Play, issuer: trustme.CA, foreign: Any
) -> None:
    other = peers.server_context(issuer, "other.example")
    refused_after_hint(play(web(foreign, head()), web(other, head())), "certificate")


def test_a_foreign_root_leaves_a_clock_that_can_be_right_alone(play: Play, foreign: Any) -> None:
    talk = web(foreign, head(off_s=DAY_S))
    result = play(talk, talk, talk, off_s=-100)
    assert (result["error"], result["moved"]) == (None, 0), result
    assert result["off_s"] == pytest.approx(-100, abs=NEAR_S)


def test_a_hint_that_the_verified_answer_contradicts_is_taken_back(
    play: Play, ours: Any, foreign: Any
) -> None:
    for off_s in (-400, 400, 300 * DAY_S):
        result = play(web(foreign, head(off_s)), web(ours, head()))
        refused_after_hint(result, "two dates")


def test_a_hint_that_is_nearly_right_will_do(play: Play, ours: Any, foreign: Any) -> None:
    result = play(web(foreign, head(-200)), web(ours, head()))
    assert_right(result, time.time() - NEVER_SET, 3)


ODD = {
    "no Date": b"HTTP/1.1 200 OK\r\nServer: x\r\n\r\n",
    "an empty Date": head(date=""),
    "another form of Date": head(date="Sunday, 22-Nov-26 10:00:00 GMT"),
    "a Date without its end": b"HTTP/1.1 200 OK\r\ndate: Sun, 22 Nov 2026 10:00:00 GMT",
    "a Date of long ago": head(date="Sun, 06 Nov 1994 08:49:37 GMT"),
    "a Date far ahead": head(date="Mon, 01 Mar 2100 00:00:00 GMT"),
    "not UTF-8": b"HTTP/1.1 200 OK\r\ndate: \xff\xfe\r\n\r\n",
    "not HTTP": head()[5:],
    "garbage": bytes(range(256)) * 4,
    "an empty line": b"\r\n\r\n",
    "nothing": b"",
    "endless headers": b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 500000,
    "one endless header": b"HTTP/1.1 200 OK\r\nx: " + b"y" * 3000000,
    "a Date behind too many headers": b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 500 + head()[9:],
}


@pytest.mark.parametrize("what", ODD)
def test_an_answer_that_makes_no_sense_is_refused(what: str, play: Play, ours: Any) -> None:
    result = play(web(ours, ODD[what]))
    assert_refused(result, "")
    assert result["set"] == []
    assert result["open"] == 0


@pytest.mark.parametrize("what", ODD)
def test_not_even_from_the_right_server(what: str, play: Play, ours: Any) -> None:
    refused_after_hint(play(web(ours, head()), web(ours, ODD[what])), "")


def test_an_answer_is_read_however_it_is_cut(play: Play, ours: Any) -> None:
    whole = head()
    talk = web(ours, *[whole[i : i + 1] for i in range(len(whole))], then=peers.hang)
    assert_right(play(talk, talk), time.time() - NEVER_SET, 3)


def trickle(context: ssl.SSLContext) -> Talk:
    def talk(raw: Any, ended: threading.Event) -> None:
        with context.wrap_socket(raw, server_side=True) as sock:
            sock.sendall(b"HTTP/1.1 200 OK\r\nx: ")
            while not ended.wait(0.05):
                sock.sendall(b"y")

    return talk


SILENCES: dict[str, Callable[[Any], Talk]] = {
    "after TCP": lambda _context: peers.hang,
    "after the request": lambda context: web(context, then=peers.hang),
    "inside the headers": lambda context: web(context, head()[:-2], then=peers.hang),
    "never quite": trickle,
}


def test_silence_costs_a_bounded_time(play: Play, ours: Any) -> None:
    """20 s for each connection, of a clock that runs 20 times as fast (from the hint on)."""

    def first(where: str) -> None:
        assert_refused(play(SILENCES[where](ours), hurry=(20, 0)), "ETIMEDOUT")

    def second(where: str) -> None:
        result = play(web(ours, head()), SILENCES[where](ours), hurry=(20, 1))
        refused_after_hint(result, "ETIMEDOUT")

    at_once(first, SILENCES)
    at_once(second, SILENCES)


def test_a_peer_that_does_not_speak_tls_is_an_error(play: Play) -> None:
    def plain(sock: Any, ended: threading.Event) -> None:
        sock.sendall(head())
        peers.hang(sock, ended)

    assert_refused(play(plain), "")


@pytest.fixture(scope="module")
def azure() -> Iterator[RunningAzure]:
    with running_azure(Settings(mqtt_port=0, https_port=0)) as running:
        yield running


@pytest.mark.parametrize("off_s", [None, -500])
def test_the_local_azure_tells_the_time_over_https(
    off_s: float | None, azure: RunningAzure, tmp_path: Path, on_micropython: Any
) -> None:
    root = tmp_path / "root.der"
    root.write_bytes(azure.root_der)
    at = NEVER_SET if off_s is None else int(time.time() + off_s)
    me = {"https_port": azure.https_port}
    result = on_micropython(
        "clock_probe.py", {"epoch": 2000, "at": at, "me": me, "root": str(root)}
    )
    assert_right(result, time.time() - at, 3 if off_s is None else 1)
