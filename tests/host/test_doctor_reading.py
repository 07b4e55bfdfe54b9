"""What the doctor makes of a board that answers nonsense: no finding, and never a traceback."""

import json
from typing import Any, cast

import pytest

from firstlight.doctor import dryrun
from firstlight.doctor.findings import Air, Identity, Life
from firstlight.doctor.reading import Reading
from firstlight.repl import BoardExecError, Repl

NONSENSE: tuple[Any, ...] = (
    b"", b"{", b"[]", b"\xff\xfe", b"1", b"null", b"[" * 9999, b"a b c\r\nd",
    {"wrong": 5}, {"marks": 3}, {"marks": {"primary": "zz"}, "id_scope": 1},
    {"marks": {}, "id_scope": "x", "registration_id": "x", "endpoint": "a/b", "https_port": 1},
    {"assignment": {"hub": 1}, "roots": {"good": "x"}, "stored": "y"},
    {"signals": {"home": "loud"}, "others": [], "address": 7},
    {"boots": -1, "phase": 7, "sent": "x", "waiting": True},
)  # fmt: skip


class Board:
    """A board that answers everything alike; None: it raises."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer if isinstance(answer, bytes | None) else json.dumps(answer).encode()

    def exec(self, code: str, timeout_s: float | None = None) -> bytes:
        if self.answer is None:
            raise BoardExecError("MemoryError", None)
        return bytes(self.answer)


def reading(answer: Any) -> Reading:
    return Reading(cast(Repl, Board(answer)))


@pytest.mark.parametrize("answer", [None, *NONSENSE])
def test_nonsense_is_no_finding(answer: Any) -> None:
    read = reading(answer)
    me, wrong = read.identity()
    assert me is None
    assert wrong
    assert read.store()[0] is None
    assert read.air(["home"], True) in (None, Air({}, 0, "7"))
    assert read.life(Life("hub", sent=3)) == Life("hub", sent=3)
    assert read.token("primary") == ""
    assert read.free_bytes() in (None, 1)
    read.clock_off_s()
    read.roots(None)
    read.make_room()


def test_what_was_heard_is_kept_where_the_board_says_nothing() -> None:
    heard = Life("network", "OSError 113", heard="wrong password", waiting=2)
    told = {"phase": "wifi", "error": "other", "before": "OSError 104", "waiting": 3}
    found = reading(told).life(heard)
    assert found == Life(
        "network", "OSError 113", "OSError 104", "wrong password", waiting=3
    )  # in the console's words, and with the board's newest numbers


def test_a_board_that_lies_costs_no_time_and_steers_no_terminal() -> None:
    mark, names = "00" * 32, [f"net {n}\x1b" for n in range(5000)]
    told = {
        "marks": {"primary": mark, "\x1b[2J": mark} | {f"k{n}": mark for n in range(99)},
        "id_scope": "0ne", "registration_id": "a", "endpoint": "dps.example", "https_port": 443,
        "networks": names, "ethernet": False,
    }  # fmt: skip
    me, _ = reading(told).identity()
    assert me is not None
    assert list(me.fingerprints) == ["primary"]
    assert me.networks == tuple(f"net {n}?" for n in range(8))
    for port in (0, 65536, 443.0, True, "443"):
        assert reading(told | {"https_port": port}).identity() == (None, "unread")


def test_a_certificate_that_openssl_does_not_take_is_no_trust() -> None:
    assert dryrun.trust([b"0\x82"], None).cert_store_stats()["x509_ca"] == 0


def test_a_name_that_cannot_be_asked_is_a_finding() -> None:
    me = Identity("0ne00111111", "a", "a..b", 1)
    found = dryrun.lookup(me, "SharedAccessSignature sr=x", dryrun.trust([], None))
    assert found.told == "a..b:1 cannot be asked POST 0ne00111111/registrations/a"


def test_no_answer_of_dps_is_a_finding() -> None:
    me = Identity("0ne00111111", "a", "localhost", 1)
    found = dryrun.lookup(me, "SharedAccessSignature sr=x", dryrun.trust([], None))
    assert (found.status, found.trusted) == (0, True)
    assert "localhost:1 did not answer POST" in found.told
    assert "object at 0x" not in found.told
    assert "Shared" not in found.told
