"""bundle.py on real MicroPython: what is no sound and signed bundle leaves no trace."""

import random
from base64 import b64decode, b64encode
from typing import Any

import pytest
import trustme

from tests.board.signing import Play, bundle, der, long_root, modulus_b64, player, roots_key

NEW = trustme.CA()
ROOT = der(NEW)
GOOD = bundle(2, ROOT)
SEQUENCE = b"\x30\x82\x07\xfc" + bytes(2044)  # a sequence of 2048 bytes


@pytest.fixture
def play(on_micropython: Any) -> Play:
    return player(on_micropython)


def untouched(play: Play, status: int, *bundles: Any, **asked: Any) -> list[str]:
    """Assert that each is refused with status and that nothing was written; return the texts."""
    steps = [["install_writes", one] for one in bundles]
    told = [["install", one] for one in bundles]
    answers = play(*steps, ["folders"], ["state"], *told, **asked)
    assert answers[: len(bundles)] == [[status, 0]] * len(bundles)
    assert answers[len(bundles)] == {"roots": 1}
    return [text for _, text in answers[len(bundles) + 2 :]]


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in GOOD.items() if key != name}


def test_what_is_not_a_bundle_is_refused(play: Play) -> None:
    shapes: list[Any] = [None, 5, "text", [], {}, [GOOD], {"firstlight": GOOD}]
    untouched(play, 400, *shapes, *map(without, GOOD))


def test_a_version_is_a_whole_number_of_31_bits(play: Play) -> None:
    for_each: list[Any] = [0, -1, 1 << 31, 1 << 70, 2.0, "2", None, True, [2], {}]
    untouched(play, 400, *[bundle(version, ROOT) for version in for_each])
    assert play(["install", bundle((1 << 31) - 1, ROOT)])[0][0] == 202


def test_one_to_four_roots_are_taken(play: Play) -> None:
    untouched(
        play, 400, bundle(2), bundle(2, *[ROOT] * 5), GOOD | {"roots": {GOOD["roots"][0]: 1}}
    )
    assert play(["install", bundle(2, *[ROOT] * 4)], ["folders"])[1] == {"roots": 1, "roots2": 4}


def test_a_root_is_the_base64_of_one_der_sequence_of_at_most_2048_bytes(play: Play) -> None:
    odd = [
        b"",
        b"\x30",
        b"\x30\x82\x01",
        ROOT[:-1],
        ROOT + b"\0",
        ROOT + ROOT,
        b"\x31" + ROOT[1:],
        NEW.cert_pem.bytes()[:1500],
        b"\x30\x82\x07\xfd" + bytes(2045),
    ]
    untouched(play, 400, *[bundle(2, one) for one in odd])
    texts: list[Any] = [None, 5, True, "%", "é", [], {}, GOOD["roots"]]
    untouched(play, 400, *[GOOD | {"roots": [text]} for text in texts])


def test_a_certificate_of_2048_bytes_is_taken_and_a_longer_one_is_not(play: Play) -> None:
    spare = 2048 - len(long_root(1000)) + 1000
    longest, longer = long_root(spare), long_root(spare + 1)
    assert len(longest) == 2048
    untouched(play, 400, bundle(2, longer))
    assert play(["install", bundle(2, longest)], ["context", False]) == [
        [202, "roots 2 are on trial"],
        True,
    ]


def test_what_is_signed_but_no_certificate_is_refused_before_it_is_written(play: Play) -> None:
    texts = untouched(play, 400, bundle(2, SEQUENCE), bundle(2, ROOT, SEQUENCE))
    assert "invalid cert" in texts[0]


def test_a_bundle_of_another_key_is_refused(play: Play) -> None:
    texts = untouched(play, 403, bundle(2, ROOT, key=roots_key(2048, 1)))
    assert texts == ["not signed by the roots key"]


def test_a_board_without_a_roots_key_takes_no_bundle(play: Play) -> None:
    untouched(play, 403, GOOD, GOOD | {"signature": ""}, roots_key=None)


def test_whatever_is_changed_in_a_bundle_the_signature_tells(play: Play) -> None:
    second = der(trustme.CA())
    pair = bundle(2, ROOT, second)
    swapped = pair | {"roots": pair["roots"][::-1]}
    fewer = pair | {"roots": pair["roots"][:1]}
    more = GOOD | {"roots": [*GOOD["roots"], b64encode(second).decode()]}
    other = GOOD | {"roots": [b64encode(second).decode()]}
    untouched(play, 403, swapped, fewer, more, other, GOOD | {"version": 3})


def test_a_signature_with_any_bit_flipped_is_refused(play: Play) -> None:
    chance = random.Random(4)
    right = b64decode(GOOD["signature"])
    wrong = []
    for _ in range(40):
        flipped = bytearray(right)
        flipped[chance.randrange(len(right))] ^= 1 << chance.randrange(8)
        wrong.append(GOOD | {"signature": b64encode(flipped).decode()})
    untouched(play, 403, *wrong, *[GOOD | {"signature": text} for text in ("", "%", "AAAA")])
    odd: list[Any] = [None, 5, [], {}, "A"]
    untouched(play, 400, *[GOOD | {"signature": one} for one in odd])


@pytest.mark.parametrize("bits", [2048, 3072, 4096])
def test_keys_of_2048_to_4096_bits_sign(play: Play, bits: int) -> None:
    key = roots_key(bits)
    found = play(["install", bundle(2, ROOT, key=key)], roots_key=modulus_b64(key))
    assert found[0][0] == 202


def test_a_bundle_on_a_full_flash_leaves_the_old_roots_and_comes_again(play: Play) -> None:
    answers = play(
        ["fill", 3],
        ["install", bundle(2, *[ROOT] * 4)],
        ["folders"],
        ["state"],
        ["context", False],
        ["remove", "/ballast"],
        ["install", bundle(2, *[ROOT] * 4)],
        ["context", False],
    )
    assert answers[1][0] == 507
    assert answers[2] == {"roots": 1}
    assert answers[3]["trial"] == 0
    assert answers[4] is False
    assert answers[6][0] == 202
    assert answers[7] is True


def test_a_store_that_takes_nothing_keeps_the_old_roots_and_raises_nothing(play: Play) -> None:
    worn = ["store", True]
    answers = play(worn, ["install", GOOD], ["folders"], ["context", False])
    assert answers[1][0] == 507
    assert answers[2:] == [{"roots": 1}, False]


def test_what_an_interrupted_install_left_is_swept_and_nothing_else(play: Play) -> None:
    answers = play(
        ["mkdir", "/roots2"],
        ["write", "/roots2/9.der", 50],
        ["mkdir", "/roots1"],
        ["mkdir", "/roots_of_mine"],
        ["mkdir", "/rootsx"],
        ["install", GOOD],
        ["folders"],
    )
    assert answers[5][0] == 202
    assert answers[6] == {"roots": 1, "roots2": 1, "roots_of_mine": 0, "rootsx": 0}


def test_a_bundle_for_which_there_is_no_memory_is_told_and_leaves_nothing(play: Play) -> None:
    statuses, again = play(["starve", GOOD], ["install", GOOD])
    assert statuses[0] == 202
    assert 507 in statuses
    assert set(statuses) <= {202, 507}
    assert again[0] == 202


def test_a_bundle_needs_little_memory(play: Play) -> None:
    """Of the unix port, whose objects are twice a board's."""
    assert play(["peak", bundle(2, *[ROOT] * 4)])[0] < 16384
