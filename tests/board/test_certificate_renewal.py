"""certificate.py, renew.py and verdict.py on real MicroPython: when a new one comes, and stays."""

from typing import Any

import pytest

from tests.board.certified import (
    AT,
    CLOUD,
    DAY_S,
    DEVICE,
    DUE,
    FRESH,
    KEY,
    NEW,
    OLD,
    Play,
    firmware,
    hub,
    issued,
    lines,
    play,
    renewed,
    section,
)
from tests.board.issuing import Issuer, b64, ec_key

__all__ = ("firmware", "hub", "play")  # fixtures


def test_a_certificate_is_renewed_when_a_third_of_its_life_is_left(play: Play, hub: int) -> None:
    steps = (
        ["boot"],
        ["step", None, hub],
        ["steps", NEW, hub, hub],
        ["state"],
        ["ways"],
        ["folders"],
    )
    again = play(section((-200, 101)), *steps[:3], ["at", AT + 2 * DAY_S], *steps[2:])
    assert [line for line in again[4] if line[:4] != "cert"] == ["dps csr 0", "hub 1", "hub 1"]
    assert lines(again[4], "cert: renewed") == ["cert: renewed"]
    assert again[5] == {
        **{"good": 1, "trial": 1, "tries": 0, "wait": 0},
        **{"asked": AT + 2 * DAY_S},
    }
    assert again[6:] == [2, {"cert1": 2}]


def test_a_certificate_that_is_old_at_the_first_boot_is_renewed_with_the_registration(
    play: Play, hub: int
) -> None:
    told, state = renewed(play, ["state"], hubs=(hub,))
    assert lines(told, "dps") == ["dps csr 0"]
    assert len(lines(told, "cert: issued, good until ")) == 1
    assert "cert: renewed" in told
    assert state["good"] == 1


def test_without_a_csr_or_before_its_time_nothing_is_asked_for(play: Play, hub: int) -> None:
    for x509 in (section(DUE, csr=None), section((-200, 101))):
        assert lines(play(x509, ["boot"], ["steps", NEW, hub, hub])[1], "dps") == ["dps - 0"]


def test_a_new_one_is_asked_for_once_a_day(play: Play, hub: int) -> None:
    for answer in (None, ["no certificate"]):
        told = play(
            OLD,
            ["boot"],
            ["steps", answer, hub],
            ["at", AT + DAY_S - 60],
            ["boot"],
            ["steps", answer, hub, hub],
            ["at", AT + DAY_S + 60],
            ["steps", NEW, hub],
        )
        assert [len(lines(told[n], "dps csr")) for n in (1, 4, 6)] == [1, 0, 1]
        assert "cert: renewed" in told[6]


def test_a_clock_that_is_wrong_brings_no_storm(play: Play, hub: int) -> None:
    known = section((-200, 101))
    clocks: list[list[Any]] = []
    for at in (946684800, AT, AT + 9000 * DAY_S, AT):
        clocks += [["at", at], ["steps", None, hub, hub, hub]]
    past, right, future, again = play(known, ["boot"], ["steps", None, hub], *clocks)[3::2]
    assert [lines(one, "dps") for one in (past, right, again)] == [[]] * 3
    assert lines(future, "dps") == ["dps csr 0"]


def test_a_dps_that_has_no_time_does_not_keep_a_board_from_its_hub(play: Play, hub: int) -> None:
    later = ["at", AT + 2 * DAY_S]
    known = section((-200, 101))
    told = play(known, ["boot"], ["steps", None, hub], later, ["steps", 503, hub, hub])[3]
    assert lines(told, "dps") == ["dps csr 0"]
    assert lines(told, "hub") == ["hub 0", "hub 0"]


def test_a_dps_out_of_reach_is_tried_again_in_an_hour_also_by_a_board_that_sleeps(
    play: Play, hub: int
) -> None:
    happens: list[list[Any]] = []
    for asleep_s in (60, 3400, 200):
        happens += [["sleep", asleep_s], ["steps", "lost", hub]]
    first = (["boot"], ["steps", None, hub], ["at", AT + 2 * DAY_S], ["steps", "lost", hub])
    told = play(section((-200, 101)), *first, *happens)[3::2]
    assert [lines(one, "dps") for one in told] == [["dps csr 0"], [], [], ["dps csr 0"]]
    assert [lines(one, "hub") for one in told] == [["hub 0"]] * 4


def test_three_refusals_by_a_hub_that_knows_the_old_one_end_the_trial(
    play: Play, hub: int
) -> None:
    for how in ("refused", "alert"):
        told, state, later = renewed(
            play, ["state"], ["steps", None, hub, hub], hubs=(how, hub) * 3
        )
        assert lines(told, "hub") == ["hub 1", "hub 0"] * 3
        assert told.count("cert: the new one was refused: back to the old") == 3
        hints = [line for line in told if "is the key that of the certificate?" in line]
        assert len(hints) == (3 if how == "alert" else 0)
        assert (state["good"], state["tries"]) == (0, 3)
        assert lines(later, "hub") == ["hub 0", "hub 0"]


def test_lost_connections_are_not_held_against_the_new_one(play: Play, hub: int) -> None:
    nobody = ("lost", hub, "no memory in TLS", hub) * 2
    told, state = renewed(play, ["state"], hubs=(*nobody, "lost", "lost", hub))
    assert lines(told, "hub") == ["hub 1", "hub 0"] * 4 + ["hub 1", "hub 0", "hub 1"]
    assert state["good"] == 1


def test_a_hub_that_refuses_whatever_it_is_shown_ends_no_trial(play: Play, hub: int) -> None:
    told, state = renewed(play, ["state"], hubs=("refused",) * 5 + (hub,))
    assert lines(told, "hub") == ["hub 1", "hub 0"] * 3
    assert state["tries"] == 1


@pytest.mark.parametrize(
    ("hubs", "certificate", "roots"),
    [
        ([], 1, 1),
        (["mistrusted"], 1, 0),  # over the new roots
        (["refused"], 0, 1),
        (["lost"], 1, 1),
    ],
)
def test_a_certificate_and_roots_on_trial_at_once_do_not_hold_each_other_up(
    hubs: list[str], certificate: int, roots: int, play: Play, hub: int
) -> None:
    state, trusted = play(
        OLD,
        ["renew_roots"],
        ["boot"],
        ["steps", NEW, *[*hubs, hub] * 3, hub],
        ["state"],
        ["roots"],
    )[3:]
    assert state["good"] == certificate
    assert trusted["good"] == roots


def test_a_good_one_that_a_hub_refuses_gives_the_factorys_its_turn(play: Play, hub: int) -> None:
    told, again, state = renewed(
        play, ["steps", None, "refused", hub, hub], ["state"], hubs=(hub,)
    )
    assert "cert: renewed" in told
    assert lines(again, "hub") == ["hub 1", "hub 0", "hub 0"]
    assert state["good"] == 0
    both = renewed(play, ["steps", None, "refused", "refused", hub], hubs=(hub,))[-1]
    assert lines(both, "hub") == ["hub 1", "hub 0", "hub 1"]


def test_dps_is_shown_the_issued_one_where_it_refuses_the_factorys(play: Play, hub: int) -> None:
    refused = renewed(play, ["steps", 401, "refused", hub], ["ways"], hubs=(hub,))
    assert refused[2] == 2
    assert lines(refused[1], "dps")[:2] == ["dps - 0", "dps - 1"]


NO_BETTER: tuple[tuple[Any, str], ...] = (
    (None, "DPS gave none"),
    ([], "DPS gave none"),
    ("MIIB", "DPS gave none"),
    ([5], ""),
    (["?"], ""),
    ([b64(b"\x30\x03abc")], "not a certificate"),
    (issued(key=ec_key()), "it is for another key"),
    (issued((-1, 98)), "it is good for no longer"),
    (issued((-9, -1)), "it is good for no longer"),
    (NEW[::-1], ""),
    ([NEW[0], NEW[2], NEW[1]], "not a chain"),
    ([NEW[0], *[NEW[1]] * 4], "not a chain"),
    ([NEW[0][:-8], *NEW[1:]], ""),
)


def test_what_is_no_better_certificate_is_not_taken(play: Play, hub: int) -> None:
    days: list[list[Any]] = []
    for n, (answer, _) in enumerate(NO_BETTER):
        at = AT + n * (DAY_S + 60)
        days += [["at", at], ["steps", answer, hub], ["folders"], ["state"]]
    told = play(OLD, ["boot"], *days)[1:]
    for n, (answer, why) in enumerate(NO_BETTER):
        _, said, folders, state = told[4 * n : 4 * n + 4]
        (line,) = lines(said, "cert: the new one is not taken: ")
        assert why in line, answer
        assert lines(said, "hub") == ["hub 0"], answer
        assert folders == {}
        assert (state["trial"], state["asked"]) == (0, AT + n * (DAY_S + 60))


def test_what_dps_issues_for_less_than_is_left_is_asked_for_when_it_is_longer(
    play: Play, hub: int
) -> None:
    month = issued((-1, 30))  # beside the 99 days that are left
    days: list[list[Any]] = []
    for day in (2, 68, 70):
        days += [["at", AT + day * DAY_S], ["boot"], ["steps", issued((-1, day + 30)), hub, hub]]
    told = play(OLD, ["boot"], ["steps", month, hub], *days)
    assert [lines(told[n], "dps csr") for n in (1, 4, 7, 10)] == [
        ["dps csr 0"],
        [],
        [],
        ["dps csr 0"],
    ]
    assert "cert: renewed" in told[10]


def test_a_root_is_not_kept_and_a_longer_chain_than_four_is_not_taken(
    play: Play, hub: int
) -> None:
    assert renewed(play, ["folders"], hubs=(hub,))[-1] == {"cert1": 2}
    deep = CLOUD
    for n in range(2):
        deep = Issuer(f"policy {n}", deep)
    four = deep.chain(deep.leaf(DEVICE, KEY, FRESH), root=True)
    taken = play(OLD, ["boot"], ["steps", four, hub], ["folders"])
    assert taken[2] == {"cert1": 4}
    deeper = Issuer("one more", deep)
    five = deeper.chain(deeper.leaf(DEVICE, KEY, FRESH), root=True)
    refused = play(OLD, ["boot"], ["steps", five, hub])[1]
    assert lines(refused, "cert: the new") == ["cert: the new one is not taken: too long a chain"]
