"""What faults do to one conversation, with a clock that the test moves; and that they bound it."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstlight.emulator.events import Event
from firstlight.emulator.faults.faults import Faults
from firstlight.emulator.faults.points import IN, OUT, points_of
from firstlight.emulator.faults.specs import BadFault, parse_text
from firstlight.emulator.mqtt.roles import Cloud
from firstlight.emulator.mqtt.session import Session
from tests.emulator.peers import connect, packet, publish, subscribe

PING, PONG = packet(0xC0, b""), b"\xd0\0"
CONNACK, SUBACK = b"\x20\2\0\0", b"\x90\3\0\1\1"
FILTER = "$dps/registrations/res/#"
HELLO = connect("dev-1", "0ne00000000/registrations/dev-1/api-version=2019-03-31", "x")


class Wire:
    """A wire whose time stands still until the test moves it."""

    over = "mqtt"

    def __init__(self) -> None:
        self.now = 0.0
        self.sent: list[bytes] = []
        self.ended: str | None = None
        self.is_paused = False
        self._timers: list[tuple[float, int, Callable[[], None]]] = []

    @property
    def data(self) -> bytes:
        return b"".join(self.sent)

    def send(self, data: bytes) -> None:
        assert self.ended is None, "bytes after the end"
        self.sent.append(data)

    def waiting(self) -> int:
        return 0

    def close(self) -> None:
        self.end("close")

    def end(self, how: str) -> None:
        self.ended = self.ended or how

    def pause(self) -> None:
        self.is_paused = True

    def resume(self) -> None:
        self.is_paused = False

    def later(self, delay_s: float, do: Callable[[], None]) -> None:
        self._timers.append((self.now + delay_s, len(self._timers), do))

    def pass_time(self, seconds: float) -> None:
        """Ring every timer that falls due, in order; those that they set, too."""
        end = self.now + seconds
        while self.ended is None and (due := [t for t in self._timers if t[0] <= end]):
            timer = min(due, key=lambda t: t[:2])
            self._timers.remove(timer)
            self.now = max(self.now, timer[0])
            timer[2]()
        self.now = end


class Dps:
    """As much of DPS as a conversation needs that never registers."""

    class rules:
        id_scope, scope_case = "0ne00000000", False


def talk(*faults: str) -> tuple[Session, Wire, list[Event]]:
    told: list[Event] = []
    held = Faults(told.append, lambda: 0.0, bytes)
    for text in faults:
        held.add(parse_text(text))
    cloud = Cloud(Dps(), {}, "register", lambda: 0.0, told.append, faults=held)  # type: ignore[arg-type]
    wire = Wire()
    return Session(cloud, wire, "peer"), wire, told


def test_delays_add_up_and_keep_the_order_of_what_leaves() -> None:
    session, wire, _ = talk("connack delay seconds=5", "suback delay seconds=2")
    session.feed(HELLO + subscribe(FILTER) + PING)
    for seconds, data in ((4.9, b""), (0.2, CONNACK), (1.8, CONNACK), (0.2, SUBACK + PONG)):
        wire.pass_time(seconds)
        assert wire.data.endswith(data)
    assert wire.data == CONNACK + SUBACK + PONG


def test_what_is_delayed_before_it_is_read_stops_all_reading() -> None:
    session, wire, _ = talk("subscribe delay seconds=3")
    session.feed(HELLO + subscribe(FILTER) + PING)
    assert (wire.data, wire.is_paused) == (CONNACK, True)
    wire.pass_time(3.1)
    assert (wire.data, wire.is_paused) == (CONNACK + SUBACK + PONG, False)


def test_a_close_waits_for_what_is_delayed() -> None:
    session, wire, _ = talk("pingresp delay seconds=3")
    session.feed(HELLO + PING + packet(0xE0, b""))
    assert (session.is_closed, wire.ended, wire.data) == (True, None, CONNACK)
    wire.pass_time(3.1)
    assert (wire.ended, wire.data) == ("close", CONNACK + PONG)


def test_a_half_open_connection_stays_so_though_the_service_has_given_it_up() -> None:
    session, wire, _ = talk("pingreq hold seconds=60")
    session.feed(HELLO + PING)
    assert wire.is_paused
    session.close("a newer connection")
    session.feed(PING)
    wire.pass_time(59.9)
    assert (wire.ended, wire.data) == (None, CONNACK)
    wire.pass_time(0.2)
    assert wire.ended == "reset"


def test_pieces_leave_one_by_one_with_their_gaps() -> None:
    session, wire, _ = talk("connack split size=1 gap=2")
    session.feed(HELLO)
    assert wire.sent == [b"\x20"]
    for count in (2, 3, 4):
        wire.pass_time(2.0)
        assert len(wire.sent) == count
    assert wire.data == CONNACK


def test_a_limit_in_seconds_is_counted_from_connect() -> None:
    session, wire, _ = talk("connect limit seconds=30 end=fin")
    session.feed(HELLO + PING)
    ends = []
    for seconds in (29.9, 0.2):
        wire.pass_time(seconds)
        ends.append(wire.ended)
    assert (ends, wire.data) == ([None, "fin"], CONNACK + PONG)


def test_a_limit_holds_though_its_fault_is_cleared() -> None:
    session, wire, _ = talk("connect limit packets_in=2 times=1")
    session.feed(HELLO + PING * 5)
    wire.pass_time(1)
    assert (wire.data, wire.ended) == (CONNACK + PONG * 2, "close")


def test_of_several_limits_each_counts_and_the_first_that_is_spent_ends_it() -> None:
    for faults in (
        ("connect limit packets_in=2 end=fin", "connect limit seconds=500 packets_in=9"),
        ("connect limit packets_in=9 bytes_in=90", "connect limit packets_in=2 end=fin"),
        ("connect limit packets_out=3 end=fin", "connect limit bytes_out=90"),
    ):
        session, wire, _ = talk(*faults)
        session.feed(HELLO + PING * 5)
        wire.pass_time(1)
        assert (wire.data, wire.ended) == (CONNACK + PONG * 2, "fin")


@pytest.mark.parametrize(
    ("more", "sent", "end"),
    [
        ("delay seconds=2", b"\x20\2\0\5", "close"),
        ("split size=1 gap=1", b"\x20\2\0\5", "close"),
        ("duplicate", b"\x20\2\0\5" * 2, "close"),
        ("cut bytes=3 end=reset", b"\x20\2\0", "reset"),
        ("hold seconds=9", b"", "reset"),
    ],
)
def test_faults_strike_the_connack_of_a_fault(more: str, sent: bytes, end: str) -> None:
    session, wire, told = talk("connect refuse code=5", f"connack {more}")
    session.feed(HELLO + PING)
    wire.pass_time(0)
    assert wire.ended != "reset", "what was sent is to be read first"
    wire.pass_time(10)
    assert (wire.data, wire.ended, session.is_closed) == (sent, end, True)
    assert not [event for event in told if "the first packet" in event["what"]]


def test_the_first_fault_that_ends_a_connection_counts() -> None:
    for first, second, ended in (("hold", "close", None), ("close", "hold", "close")):
        session, wire, _ = talk(f"pingresp {first}", f"pingresp {second}")
        session.feed(HELLO + PING)
        wire.pass_time(1)
        assert (wire.data, wire.ended) == (CONNACK, ended)


def test_a_limit_counts_what_a_delay_has_kept() -> None:
    session, wire, _ = talk("subscribe delay seconds=1", "connect limit packets_in=3")
    session.feed(HELLO + subscribe(FILTER) + PING * 5)
    wire.pass_time(2)
    assert (wire.data, wire.ended) == (CONNACK + SUBACK + PONG * 2, "close")


def test_no_delay_is_longer_than_an_hour_however_many_faults_there_are() -> None:
    session, wire, _ = talk(*["pingresp delay seconds=3600"] * 5)
    session.feed(HELLO + PING)
    wire.pass_time(3599)
    assert wire.data == CONNACK
    wire.pass_time(2)
    assert wire.data == CONNACK + PONG


def test_a_fault_that_is_set_later_knows_how_the_device_came() -> None:
    session, wire, _ = talk()
    session.feed(HELLO)
    held = session._cloud.faults
    for over in ("websocket", "mqtt"):
        held.add(parse_text(f"pingresp drop device=dev-1 part=dps over={over}"))
        session.feed(PING)
    assert (wire.data, [fault["hits"] for fault in held.all()]) == (CONNACK + PONG, [0, 1])


def test_what_waits_is_bounded() -> None:
    session, wire, _ = talk("pingresp delay seconds=3600")
    session.feed(HELLO)
    session.feed(PING * 20_000)
    wire.pass_time(1)
    assert wire.ended == "reset"
    session, wire, _ = talk("subscribe delay seconds=3600")
    session.feed(HELLO + subscribe(FILTER) + PING * 5000)
    wire.pass_time(1)
    assert wire.ended == "reset"


def test_a_packet_that_was_delayed_still_ends_a_wrong_conversation() -> None:
    session, wire, told = talk("publish delay seconds=1")
    session.feed(HELLO + publish("foreign/topic"))
    assert not session.is_closed
    wire.pass_time(1.1)
    assert (session.is_closed, wire.ended) == (True, "close")
    assert "a topic that DPS does not have" in told[-1]["what"]


def test_without_faults_nothing_is_asked_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    session, wire, _ = talk()
    monkeypatch.setattr(Faults, "pick", None)
    session.feed(HELLO + PING)
    assert wire.data == CONNACK + PONG


_ACTIONS = [
    *("delay seconds=1", "hold seconds=5", "split size=2 gap=1", "limit packets_out=2 seconds=9"),
    *("ignore", "drop", "close", "close end=fin", "cut bytes=3", "cut bytes=1 end=hold", "split"),
    *("duplicate count=3", "duplicate dup=true", "replace hex=00", "replace hex=", "code value=7"),
    *("refuse", "limit bytes_in=40", "limit packets_in=2 end=reset", "limit bytes_out=9"),
]
_FAULTS = st.builds(
    "{} {} {}".format,
    st.sampled_from(points_of(IN) + points_of(OUT)),
    st.sampled_from(_ACTIONS),
    st.sampled_from(["", "times=1", "every=2", "after=1", "probability=0.5 seed=3"]),
)
_BYTES = st.one_of(
    st.sampled_from([PING, subscribe(FILTER), subscribe("#"), publish("a"), packet(0xE0, b"")]),
    st.sampled_from([publish("$iothub/twin/GET/?$rid=1"), packet(0x40, b"\0\1"), HELLO]),
    st.binary(max_size=30),
)


@given(st.lists(_FAULTS, max_size=5), st.lists(_BYTES, max_size=8), st.integers(1, 40))
def test_no_bytes_and_no_faults_raise_and_every_conversation_ends(
    texts: list[str], data: list[bytes], size: int
) -> None:
    possible = []
    for text in texts:
        try:
            parse_text(text)
        except BadFault:
            continue
        possible.append(text)
    session, wire, told = talk(*possible)
    stream = HELLO + b"".join(data)
    for at in range(0, len(stream), size):
        if wire.ended is None and not wire.is_paused:
            session.feed(stream[at : at + size])
    wire.pass_time(10_000)
    session.close("the test is over")
    wire.pass_time(100_000)
    assert session.is_closed
    assert wire.ended is not None
    assert sum(event["what"].startswith("closed") for event in told) <= 1
