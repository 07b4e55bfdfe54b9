"""What comes next for a unit, from what the record says of it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstlight.line.stages import STAGES, finished, remaining

ALL = STAGES
IMAGE = "a" * 64


@dataclass(frozen=True)
class Note:
    stage: str
    outcome: str
    facts: dict[str, str] = field(default_factory=dict)


def story(*words: str) -> list[Note]:
    """What "inject begun" and so on say. A flash is with IMAGE."""
    pairs = (word.split() for word in words)
    return [Note(stage, outcome, {"image": IMAGE}) for stage, outcome in pairs]


def whole(stages: Iterable[str] = ALL) -> list[Note]:
    return story(*(f"{s} {o}" for s, o in product(stages, ("begun", "done"))))


def test_a_bare_unit_goes_through_all() -> None:
    assert remaining([], ALL, IMAGE) == list(ALL)


def test_a_finished_unit_needs_nothing_whatever_is_flashed_today() -> None:
    assert remaining(whole(), ALL, IMAGE) == []
    assert remaining(whole(), ALL, "b" * 64) == []
    assert finished(whole())
    assert not finished(whole(ALL[:4]))


@pytest.mark.parametrize("stage", ALL)
def test_what_was_begun_and_not_done_is_done_again(stage: str) -> None:
    before = ALL[: ALL.index(stage)]
    rest = list(ALL[ALL.index(stage) :])
    assert remaining(whole(before) + story(f"{stage} begun"), ALL, IMAGE) == rest
    assert (
        remaining(whole(before) + story(f"{stage} begun", f"{stage} failed"), ALL, IMAGE) == rest
    )


def test_an_unfinished_unit_is_flashed_anew_when_the_image_is_another() -> None:
    assert remaining(whole(("flash", "inject")), ALL, "b" * 64) == list(ALL)
    assert remaining(whole(("flash", "inject")), ALL[1:], "b" * 64) == list(ALL[2:])


def test_a_finished_unit_that_is_flashed_again_needs_its_identity_again() -> None:
    again = whole() + story("flash begun")
    assert remaining(again, ALL, IMAGE) == ["flash", "inject", "prove", "boot"]
    assert remaining(again + story("flash done"), ALL, IMAGE) == ["inject", "prove", "boot"]


def test_a_flash_that_was_cut_off_before_the_unit_was_proven_a_device_is_settled() -> None:
    history = story("flash begun") + whole(("inject", "prove", "unit", "label"))
    assert remaining(history, ALL[:3], IMAGE) == []


def test_a_unit_that_is_recorded_and_has_no_label_gets_one() -> None:
    assert remaining(whole(ALL[:5]), ALL, IMAGE) == ["label"]
    assert remaining(whole(ALL[:5]), ALL[:5], IMAGE) == []


def test_a_proof_that_failed_later_is_to_be_made_again() -> None:
    assert remaining(whole() + story("prove failed"), ALL, IMAGE) == ["prove", "boot"]


def test_stages_that_are_not_wanted_are_not_done() -> None:
    without = ("inject", "prove", "unit")
    assert remaining([], without, "") == list(without)
    assert remaining(whole(without), without, "") == []


@given(
    st.lists(
        st.builds(
            Note,
            st.sampled_from([*ALL, "claim", "again"]),
            st.sampled_from(["begun", "done", "failed", "skipped"]),
            st.fixed_dictionaries({"image": st.sampled_from([IMAGE, "b" * 64])}),
        ),
        max_size=12,
    )
)
def test_nothing_is_ever_done_on_top_of_what_is_missing(history: list[Note]) -> None:
    """Doing what remains, in order, ends: then nothing does."""
    todo = remaining(history, ALL, IMAGE)
    assert todo == sorted(todo, key=ALL.index)
    after = history + story(*(f"{stage} done" for stage in todo))
    assert remaining(after, ALL, IMAGE) == []
