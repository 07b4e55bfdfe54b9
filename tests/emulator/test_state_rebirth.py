"""Every change of a service is in its journal: made anew from it, the services are the same.

Whatever is asked of them, in any order: no change may be in memory alone.
"""

from itertools import product
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from .memory import remembered
from .world import HUBS, STEPS, World, do


def check(world: World, what: str) -> None:
    assert remembered(world.made(world.paper)) == remembered(world.services), what
    for hub in HUBS:
        ids = [{id for id, _ in world.paper.load(f"{kind}/{hub}")} for kind in ("device", "twin")]
        assert ids[0] == ids[1], f"{what} left half of a device"


@pytest.mark.parametrize("what", STEPS)
def test_each_change_is_in_the_journal(what: str) -> None:
    for arguments in product(*STEPS[what]):
        world = World()
        for times in range(2):
            do(world, what, *arguments)
            check(world, f"{what} {arguments} {times}")


STORY = st.lists(
    st.one_of([
        st.tuples(st.just(what), *(st.sampled_from(values) for values in choices))
        for what, choices in STEPS.items()
    ]),
    min_size=10,
    max_size=40,
)  # fmt: skip


# To shrink so long a story takes minutes.
@settings(max_examples=40, deadline=None, phases=[Phase.reuse, Phase.generate])
@given(story=STORY)
def test_services_made_anew_from_their_journal_are_the_same(story: list[Any]) -> None:
    world = World()
    for what, *arguments in story:
        do(world, what, *arguments)
        check(world, what)
