"""certificate.py on real MicroPython: what a board shows, whatever befalls its flash."""

from typing import Any

import pytest

from tests.board.certified import (
    AT,
    CLOUD,
    DAY_S,
    DEVICE,
    KEY,
    NEW,
    OLD,
    Play,
    firmware,
    hub,
    identity,
    lines,
    play,
    renewed,
    section,
)
from tests.board.issuing import PKCS1, PKCS8, SEC1, b64, ec_key, key_der, rsa_key

__all__ = ("firmware", "hub", "play")  # fixtures


@pytest.mark.parametrize(
    ("key", "form"),
    [(KEY, SEC1), (KEY, PKCS8), (rsa_key, PKCS1), (rsa_key, PKCS8)],
    ids=["ec", "ec-pkcs8", "rsa", "rsa-pkcs8"],
)
def test_a_chain_of_three_and_its_key_are_let_in(
    key: Any, form: Any, play: Play, hub: int
) -> None:
    chosen = key() if callable(key) else key
    told = play(section(key=chosen, form=form), ["boot"], ["prove", hub], ["steps", None, hub])
    assert told[:2] == [["", True], "in"]
    assert lines(told[2], "hub") == ["hub 0"]


def test_what_does_not_fit_together_is_not_let_in(play: Play, hub: int) -> None:
    whole = section()
    for wrong in (
        {"chain": whole["chain"][:1]},
        {"chain": [*whole["chain"][:2], *CLOUD.chain(CLOUD.leaf(DEVICE, KEY))]},
        {"key": b64(key_der(ec_key()))},
    ):
        assert play(whole | wrong, ["boot"], ["prove", hub])[1].startswith("OSError"), wrong


def test_what_tls_does_not_take_is_no_identity_and_starts_no_watchdog(play: Play) -> None:
    whole = section()
    for wrong in (
        {"key": b64(b"no key at all")},
        {"key": b64(key_der(KEY)[:-1])},
        {"chain": [b64(b"\x30\x03abc")]},
        {"chain": [*whole["chain"][:2], b64(b"\x30\x82")]},
    ):
        (why, watched), *_ = play(whole | wrong, ["boot"])
        assert why.startswith("x509 is refused by TLS: invalid ")
        assert ("key" if "key" in wrong else "cert") in why
        assert not watched


def test_no_certificate_stays_in_memory(play: Play) -> None:
    long, short = section(csr=None), section(csr=None)
    long["chain"] += long["chain"][1:2]
    short["chain"] = short["chain"][:1]
    kept = [play(one, ["boot"], ["kept"])[1] for one in (long, short)]
    assert abs(kept[0] - kept[1]) < 300
    assert len(str(long["chain"])) - len(str(short["chain"])) > 1000


def test_until_when_it_is_good_is_told_once_and_reported(play: Play, hub: int) -> None:
    told = play(section((-100, 200)), ["boot"], ["steps", None, hub, hub], ["reported"])
    (line,) = lines(told[1], "cert")
    assert line.startswith("cert: of the factory, good until ")
    assert told[2] == {"until": line.rpartition(" ")[2]}


def test_an_identity_that_came_with_the_image_is_as_good_as_a_file(play: Play, hub: int) -> None:
    told, state = play(OLD, ["flash"], ["boot"], ["steps", NEW, hub], ["state"])[2:]
    assert "cert: renewed" in told
    assert state["good"] == 1


def test_no_connection_is_made_without_a_certificate_where_there_was_no_memory_for_it(
    play: Play, hub: int
) -> None:
    *_, told = renewed(
        play,
        ["at", AT + 300 * DAY_S],
        ["starve", 2],
        ["steps", "lost", hub],
        hubs=(hub,),
    )
    assert "cert: it is time for a new one" in told
    assert lines(told, "dps") == []
    assert lines(told, "hub") == ["hub 1"]
    assert lines(told, "serve") == []


def test_a_power_cut_at_any_write_leaves_the_old_or_the_new(play: Play, hub: int) -> None:
    found, cuts, ended = play(OLD, ["cut", "steps", NEW, hub], blocks=20)[-1]
    assert cuts > 20
    assert {(one["good"], one["trial"]) for one in found} == {(0, 0), (0, 1)}
    assert ended == [True]  # after a second cut, too


def test_a_full_flash_is_told_and_the_old_one_stays_in_use(play: Play, hub: int) -> None:
    for spare in (0, 2):
        answers = play(
            OLD,
            ["boot"],
            ["fill", spare],
            ["steps", NEW, hub],
            ["remove", "/ballast"],
            ["state"],
            ["steps", None, hub],
        )
        taken = "cert: renewed" in answers[2]
        assert lines(answers[2], "hub") == [f"hub {int(taken)}"]
        assert taken or lines(answers[2], "cert: the new one is not taken: ")
        assert lines(answers[5], "hub") == [f"hub {answers[4]['good']}"]


@pytest.mark.parametrize(
    "damage",
    [
        ["write", "/cert1/0.der", 100],
        ["write", "/cert1/0.der", 0],
        ["write", "/cert1/1.der", 0],
        ["remove", "/cert1/0.der"],
        ["remove", "/cert1"],
    ],
    ids=str,
)
def test_what_the_flash_lost_is_followed_by_what_came_before_and_then_by_a_new_one(
    damage: list[Any], play: Play, hub: int
) -> None:
    *_, told, _, later = renewed(
        play,
        damage,
        ["boot"],
        ["steps", None, hub, hub],
        ["at", AT + DAY_S + 60],
        ["steps", NEW, hub, hub],
        hubs=(hub,),
    )
    assert len(lines(told, "cert: number 1 does not load: ")) == 1
    assert lines(told, "cert: of the factory")
    assert lines(told, "hub") == ["hub 1"] * 2
    assert lines(later, "dps") == ["dps csr 0"]
    assert "cert: renewed" in later


def test_what_did_not_load_once_is_not_given_up(play: Play, hub: int) -> None:
    for what in ("good", "on trial"):  # TLS may have had no memory for it
        *_, told, _, _, again = renewed(
            play,
            ["move", "/cert1", "/away"],
            ["boot"],
            ["steps", None, hub],
            ["move", "/away", "/cert1"],
            ["boot"],
            ["steps", None, hub],
            hubs=(hub,) if what == "good" else ("lost",),
        )
        assert lines(told, "cert: number 1 does not load: ")
        assert lines(again, "cert: issued, good until")
        assert ("cert: renewed" in again) is (what == "on trial")


def test_an_identity_that_is_injected_anew_makes_what_was_issued_void(
    play: Play, hub: int
) -> None:
    fresh = section((-2, 99))
    again: list[Any] = [["inject", identity(fresh)], ["boot"], ["ways"], ["steps", None, hub]]
    *_, ways, told, state, folders = renewed(play, *again, ["state"], ["folders"], hubs=(hub,))
    assert ways == 1
    assert lines(told, "hub") == ["hub 0"]
    assert state == {"good": 0, "trial": 0, "tries": 0, "asked": 0}
    assert folders == {"cert1": 2}
    due: list[Any] = [["inject", identity(section((-300, 50)))], ["boot"], ["steps", NEW, hub]]
    *_, told, folders = renewed(play, *due, ["folders"], hubs=(hub,))
    assert "cert: renewed" in told  # in the swept folder's place
    assert folders == {"cert1": 2}
