"""trust.py and bundle.py on real MicroPython: new roots are tried, kept or dropped.

The flash is a real littlefs, the servers speak real TLS; only what happens is a script.
"""

from collections.abc import Iterator
from typing import Any

import pytest
import trustme

from tests.board import peers
from tests.board.signing import FACTORY, Play, bundle, der, player

NEW, NEWER = trustme.CA(), trustme.CA()
BUNDLE, BUNDLE_3 = bundle(2, der(NEW)), bundle(3, der(NEWER))
INSTALL = ["install", BUNDLE]
BAD = "TLS: the certificate is not signed by a trusted CA"


@pytest.fixture
def play(on_micropython: Any) -> Play:
    return player(on_micropython)


@pytest.fixture
def ports() -> Iterator[dict[str, int]]:
    """Servers of the factory's root, of the new one, and of the one after it."""

    def greet(sock: Any, ended: Any) -> None:
        sock.recv(1)

    talks = [greet] * 60
    with (
        peers.serving(peers.server_context(FACTORY), *talks) as factory,
        peers.serving(peers.server_context(NEW), *talks) as new,
        peers.serving(peers.server_context(NEWER), *talks) as newer,
    ):
        yield {"factory": factory, "new": new, "newer": newer}


def numbers(state: dict[str, int]) -> tuple[int, int, int]:
    return state["good"], state["trial"], state["tries"]


def test_a_board_as_injected_trusts_the_factorys_roots_alone(
    play: Play, ports: dict[str, int]
) -> None:
    told, state = play(["live", ports["factory"], ports["new"], ports["factory"]], ["state"])
    assert told == ["ok", "TLS:", "ok"]
    assert numbers(state) == (0, 0, 0)


def test_new_roots_that_reach_the_hub_are_the_good_ones(play: Play, ports: dict[str, int]) -> None:
    answers = play(
        INSTALL, ["live", ports["new"], ports["new"]], ["state"], ["wake"], ["live", ports["new"]]
    )
    assert answers[0] == [202, "roots 2 are on trial"]
    assert answers[1] == ["ok on trial", "ok"]
    assert numbers(answers[2]) == (2, 2, 0)
    assert answers[4] == ["ok"]


def test_new_roots_and_the_old_ones_take_turns_until_one_reaches_the_hub(
    play: Play, ports: dict[str, int]
) -> None:
    told = ["TLS: on trial", "TLS: over old roots"] * 2
    assert play(INSTALL, ["live", *[ports["newer"]] * 4])[1] == told
    late = play(INSTALL, ["live", ports["newer"], ports["factory"], ports["new"]])[1]
    assert late == ["TLS: on trial", "ok over old roots", "ok on trial"]


def test_any_failure_gives_the_old_roots_their_turn(play: Play, ports: dict[str, int]) -> None:
    for error in ("OSError", "MQTT: odd packet", BAD):
        told = play(INSTALL, ["live", error, ports["factory"], ports["new"]])[1]
        assert told[1:] == ["ok over old roots", "ok on trial"]


def test_a_trial_ends_when_the_old_roots_were_needed_three_times(
    play: Play, ports: dict[str, int]
) -> None:
    factory = ports["factory"]
    answers = play(
        INSTALL,
        ["live", factory, factory],
        ["wake"],
        ["live", factory, factory],
        ["state"],
        ["live", factory, factory, factory],
        ["state"],
        ["context", False],
        ["install_writes", BUNDLE],
        ["install", BUNDLE_3],
        ["live", ports["newer"]],
    )
    turn = ["TLS: on trial", "ok over old roots"]
    assert answers[1] == answers[3] == turn
    assert numbers(answers[4]) == (0, 2, 2)
    assert answers[5] == [*turn, "ok"]
    assert numbers(answers[6]) == (0, 2, 3)
    assert answers[7:9] == [False, [409, 0]]
    assert answers[9][0] == 202
    assert answers[10] == ["ok on trial"]


def test_a_network_where_no_server_is_trusted_is_not_held_against_new_roots(
    play: Play, ports: dict[str, int]
) -> None:
    """A portal in between, or a clock that is wrong: the old ones fail as well."""
    answers = play(INSTALL, ["live", *[ports["newer"]] * 9], ["state"], ["live", ports["new"]])
    assert numbers(answers[2]) == (0, 2, 0)
    assert "ok on trial" in play(INSTALL, ["live", *[BAD] * 10, ports["new"]])[1]


def test_lost_connections_are_not_held_against_new_roots(
    play: Play, ports: dict[str, int]
) -> None:
    lost = ["live", *["OSError", ports["factory"]] * 4]
    assert numbers(play(INSTALL, lost, ["state"])[-1]) == (0, 2, 0)


def test_a_trial_that_failed_leaves_the_good_ones_and_not_the_factorys(
    play: Play, ports: dict[str, int]
) -> None:
    new = ports["new"]
    answers = play(
        INSTALL,
        ["live", new],
        ["install", BUNDLE_3],
        ["live", *[new] * 7],
        INSTALL,
        ["install", BUNDLE_3],
    )
    assert answers[3] == [*["TLS: on trial", "ok over old roots"] * 3, "ok"]
    assert answers[4:] == [[200, "roots 2 are here"], [409, "roots 3 failed"]]


def test_the_factorys_roots_are_the_last_resort_one_time_in_eight(
    play: Play, ports: dict[str, int]
) -> None:
    good = [INSTALL, ["live", ports["new"]]]
    factory = ports["factory"]
    rare = play(*good, ["chance", 0.13], ["live", *[factory] * 4])[-1]
    assert rare == ["TLS:"] * 4
    now = play(*good, ["chance", 0.12], ["live", factory, factory, factory, ports["new"]])[-1]
    assert now == ["TLS:", *["ok over old roots"] * 2, "TLS: over old roots"]
    for error in ("OSError", "MQTT: odd"):
        lost = play(*good, ["chance", 0.0], ["live", error], ["ready"], ["live", ports["new"]])
        assert lost[-2:] == [True, ["ok"]]
    back = play(*good, ["chance", 0.0], ["live", factory, ports["new"], ports["new"]])[-1]
    assert back == ["TLS:", "TLS: over old roots", "ok"]


def test_the_same_bundle_again_writes_nothing(play: Play, ports: dict[str, int]) -> None:
    again = ["install_writes", BUNDLE]
    answers = play(again, again, ["live", ports["new"]], again)
    assert answers[0][0] == 202
    assert answers[0][1] > 0
    assert answers[1] == answers[3] == [200, 0]


def test_a_store_that_takes_nothing_more_lets_the_trial_go_on(
    play: Play, ports: dict[str, int]
) -> None:
    old, new = ports["factory"], ports["new"]
    answers = play(INSTALL, ["store", True], ["live", new], ["wake"], ["live", old, old, new])
    assert answers[2] == ["ok on trial"]
    assert answers[4] == ["TLS: on trial", "ok over old roots", "ok on trial"]


def test_an_older_bundle_is_never_taken_again(play: Play, ports: dict[str, int]) -> None:
    older = ["install_writes", bundle(2, der(NEW))]
    newer = ["install", BUNDLE_3]
    assert play(newer, ["install", BUNDLE])[-1] == [409, "roots 3 came before"]
    assert play(newer, older)[-1] == [409, 0]
    assert play(newer, ["live", ports["newer"]], older)[-1] == [409, 0]
    assert play(newer, ["live", *[ports["factory"]] * 6], older)[-1] == [409, 0]


def test_a_newer_bundle_takes_the_place_of_one_on_trial(play: Play, ports: dict[str, int]) -> None:
    answers = play(
        INSTALL,
        ["live", ports["factory"], ports["factory"]],
        ["install", BUNDLE_3],
        ["state"],
        ["live", ports["newer"]],
        ["install", bundle(4, der(NEW))],
        ["folders"],
    )
    assert numbers(answers[3]) == (0, 3, 0)
    assert answers[4] == ["ok on trial"]
    assert answers[6] == {"roots": 1, "roots3": 1, "roots4": 1}


def test_the_number_of_failures_is_not_taken_for_a_folders(
    play: Play, ports: dict[str, int]
) -> None:
    answers = play(
        ["install", bundle(1, der(NEW))],
        ["live", *[ports["factory"]] * 6],
        ["state"],
        ["mkdir", "/roots3"],
        ["install", BUNDLE_3],
    )
    assert numbers(answers[2]) == (0, 1, 3)
    assert answers[4][0] == 202


def test_several_roots_are_trusted_together(play: Play, ports: dict[str, int]) -> None:
    both = bundle(2, der(NEW), der(FACTORY), der(NEWER))
    assert play(["install", both], ["live", *ports.values()])[1] == ["ok on trial", "ok", "ok"]


def test_roots_that_do_not_read_are_followed_by_older_ones(
    play: Play, ports: dict[str, int]
) -> None:
    good = [INSTALL, ["live", ports["new"]], ["install", BUNDLE_3]]
    for damage in (
        ["write", "/roots3/0.der", 100],
        ["write", "/roots3/0.der", 0],
        ["write", "/roots3/0.der", 9000],
        ["remove", "/roots3/0.der"],
        ["remove", "/roots3"],
    ):
        assert play(*good, damage, ["wake"], ["live", ports["new"]])[-1] == ["ok"]
        also = [damage, ["remove", "/roots2"], ["wake"]]
        assert play(*good, *also, ["live", ports["factory"]])[-1] == ["ok"]


@pytest.mark.parametrize(
    ("first", "step"),
    [
        ([], ["install", BUNDLE_3]),
        ([INSTALL], ["install", BUNDLE_3]),
        ([INSTALL, ["live", "new"]], ["install", BUNDLE_3]),
        ([INSTALL], ["live", "new"]),
        ([INSTALL], ["live", "factory", "factory"]),
    ],
)
def test_a_power_cut_at_any_write_leaves_the_old_or_the_new(
    first: list[list[Any]], step: list[Any], play: Play, ports: dict[str, int]
) -> None:
    *before, act = [
        [ports.get(word, word) if isinstance(word, str) else word for word in words]
        for words in [*first, step]
    ]
    begun = play(*before, ["state"], ["wake"], act, ["state"])
    old, new = begun[-4], begun[-1]
    found, cuts = play(*before, ["cut", *act])[-1]
    assert cuts > 3
    assert old in found
    assert all(state in (old, new) for state in found)
    assert old != new
