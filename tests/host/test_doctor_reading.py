"""What the doctor makes of a board that answers nonsense: no finding, and never a traceback."""

import json
import socket
from base64 import b64encode
from collections.abc import Callable
from typing import Any, cast

import pytest

from firstlight.doctor import certificates, dryrun, relay
from firstlight.doctor.findings import Air, Identity, Life
from firstlight.doctor.reading import Reading
from firstlight.repl import BoardExecError, Repl
from tests.certificates import make_ca, make_leaf, make_root

NONSENSE: tuple[Any, ...] = (
    b"", b"{", b"[]", b"\xff\xfe", b"1", b"null", b"[" * 9999, b"a b c\r\nd",
    {"wrong": 5}, {"marks": 3}, {"marks": {"primary": "zz"}, "id_scope": 1},
    {"marks": {}, "id_scope": "x", "registration_id": "x", "endpoint": "a/b", "https_port": 1},
    {"assignment": {"hub": 1}, "roots": {"good": "x"}, "stored": "y"},
    {"signals": {"home": "loud"}, "others": [], "address": 7},
    {"boots": -1, "phase": 7, "sent": "x", "waiting": True},
)  # fmt: skip


ME = Identity("0ne00111111", "a", "dps.example", 443, by_certificate=True)


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
    kept = read.store()
    assert kept.assignment is None
    chains, renewal = read.chains(ME, kept, read.factory_chain())
    assert (chains[0].is_good_at(1), len(chains), renewal) == (False, 1, None)
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
    assert len(reading(b"AAAA\n" * 99).factory_chain()) == 4
    for port in (0, 65536, 443.0, True, "443"):
        assert reading(told | {"https_port": port}).identity() == (None, "unread")


def test_a_certificate_that_openssl_does_not_take_is_no_trust() -> None:
    assert dryrun.trust([b"0\x82"], None).cert_store_stats()["x509_ca"] == 0


def test_a_name_that_cannot_be_asked_is_a_finding() -> None:
    me = Identity("0ne00111111", "a", "a..b", 1)
    found = dryrun.lookup(me, "SharedAccessSignature sr=x", dryrun.trust([], None))
    assert found.told == "a..b:1 cannot be asked POST 0ne00111111/registrations/a"


def test_a_name_that_no_board_can_ask_is_a_finding() -> None:
    repl = cast(Repl, Board({}))
    for host, why in (("a..b", "did not answer"), ("localhost", "did not answer: ")):
        me = Identity("0ne00111111", "a", host, 1, by_certificate=True)
        found = dryrun.by_certificate(repl, me, 0, [])
        assert (found.status, found.trusted) == (0, True)
        assert f"{host}:1 {why}" in found.told


@pytest.mark.parametrize(
    "said", [b"GET / HTTP/1.1\r\n\r\n", b"", b"SSH-2.0-x\r\n", b"\x16\x00" + bytes(90)]
)
def test_whoever_a_board_names_hears_tls_of_it_and_nothing_else(said: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        me = Identity("0ne00111111", "a", "localhost", port, by_certificate=True)
        board = Board(None)
        board.answer = b64encode(said)
        found = dryrun.by_certificate(cast(Repl, board), me, 0, [])
        with listener.accept()[0] as sock:
            assert sock.recv(1) == b""
    assert "the board does not speak TLS" in found.told


def test_a_memory_that_is_too_small_is_no_damage() -> None:
    assert reading(None).identity() == (None, "no room")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        me = Identity("0ne00111111", "a", "localhost", port, by_certificate=True)
        for kind, number in (("MemoryError", None), ("OSError", 12)):
            board = Board(b"")
            cast(Any, board).exec = raising(BoardExecError(kind, number), "_begin(")
            found = dryrun.by_certificate(cast(Repl, board), me, 0, [])
            assert "has no room for TLS" in found.told


def raising(error: Exception, text: str = "") -> Callable[..., bytes]:
    """exec() of a board that raises in the middle of code that has text in it."""

    def exec_(code: str, timeout_s: float | None = None) -> bytes:
        if text in code:
            raise error
        return b""

    return exec_


@pytest.mark.parametrize(
    ("head", "why"),
    [(b"Content-Length: 1" + b"0" * 40, "no end"), (b"X: y", "no length"),
     (b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 40, "no end")],
)  # fmt: skip
def test_an_answer_without_an_end_is_none(head: bytes, why: str) -> None:
    with pytest.raises(relay.Unanswered, match=why):
        relay._reply(b"HTTP/1.1 200 OK\r\n" + head + b"\r\n\r\nabc")


def test_no_answer_of_dps_is_a_finding() -> None:
    me = Identity("0ne00111111", "a", "localhost", 1)
    found = dryrun.lookup(me, "SharedAccessSignature sr=x", dryrun.trust([], None))
    assert (found.status, found.trusted) == (0, True)
    assert "localhost:1 did not answer POST" in found.told
    assert "object at 0x" not in found.told
    assert "Shared" not in found.told


def test_a_chain_that_does_not_fit_together_is_told_from_one_that_does() -> None:
    root = make_root()
    batch, other = make_ca(root, "batch 1"), make_ca(root, "batch 2")
    unit, half = make_leaf(batch, "a"), make_leaf(make_ca(batch, "no CA", basic=False), "a")
    for ders, fault in (
        (unit.chain_ders, ""),
        ((unit.der,), ""),
        ((*unit.chain_ders, root.der), ""),
        ((), "it has no certificate"),
        ((unit.der, b"0\x82"), "a certificate of it cannot be read"),
        ((batch.der, unit.der), "its leaf is of batch 1, not of a"),
        ((make_leaf(batch, None).der,), "its leaf is of nobody, not of a"),
        ((unit.der, other.der), "certificate 1 of 2 is not signed by the one after it"),
        ((unit.der, root.der, batch.der), "certificate 1 of 3 is out of order"),
        (half.chain_ders, "certificate 2 of 3 is no CA's"),
    ):
        assert certificates.chain(0, ders, "a").fault == fault
    assert certificates.leads_to(unit.chain_ders, batch.certificate)
    assert certificates.leads_to(unit.chain_ders, root.certificate)
    assert not certificates.leads_to((b"", *unit.chain_ders), other.certificate)
    leaf = certificates.chain(0, unit.chain_ders, "a").leaf
    assert leaf is not None
    assert (leaf.subject, leaf.issuer, leaf.fingerprint.upper()) == ("a", "batch 1", unit.sha256)


def test_certificates_of_another_identity_are_not_read() -> None:
    unit = make_leaf(None, "a")
    text = b64encode(unit.der)
    for whose, numbers in ((unit.sha256[:16].lower(), [0, 2]), ("another", [0])):
        cert = {"whose": whose, "good": 0, "trial": 2, "tries": 1, "asked": 7}
        kept = reading({"cert": cert}).store()
        board = reading(text)
        found, renewal = board.chains(ME, kept, board.factory_chain())
        assert [chain.number for chain in found] == numbers
        assert (renewal is not None and renewal.in_use == 2) is (len(numbers) == 2)
