"""session.py on real MicroPython, with too much to do, or too little memory: telemetry goes on."""

from typing import Any

import pytest

from tests.board.test_session_peers import GET, REPORT, held, hub, said, twin

__all__ = ("held",)  # a fixture


def test_a_flood_of_methods_does_not_stop_telemetry(held: Any) -> None:
    numbers = iter(range(10**6))

    def answer(topic: str, body: bytes) -> list[bytes]:
        if topic.startswith(GET):
            return [twin(topic[len(GET) :], 1), *(call() for _ in range(4))]
        return [call()] if "/methods/" in topic else []

    def call() -> bytes:
        return said(f"$iothub/methods/POST/m/?$rid={next(numbers)}", {})

    puts = [str(i) for i in range(20)]
    result = held(hub(answer, [], "last"), puts=puts, goal={"acked": 20, "calls": 20})
    assert (result["errors"], result["acked"]) == ([None], 20)
    assert result["polls"] < 500, "it had to wait"


def test_a_flood_of_reports_does_not_stop_telemetry(held: Any) -> None:
    topics: list[str] = []

    def answer(topic: str, body: bytes) -> list[bytes]:
        if topic.startswith(GET):
            return [twin(topic[len(GET) :], 1)]
        rid = topic[len(REPORT) :]
        return [said(f"$iothub/twin/res/204/?$rid={rid}")] if topic.startswith(REPORT) else []

    puts = [str(i) for i in range(20)]
    result = held(hub(answer, topics, "last"), puts=puts, restless=True, goal={"acked": 20})
    assert (result["errors"], result["acked"]) == ([None], 20)
    assert sum(topic.startswith(REPORT) for topic in topics) >= 10, "telemetry stopped reports"


@pytest.mark.parametrize("desired", ["x" * 6000, [[[[[[]] * 10] * 10] * 4]]])
def test_a_twin_that_memory_does_not_suffice_for_costs_no_telemetry(
    desired: Any, held: Any
) -> None:
    def answer(topic: str, body: bytes) -> list[bytes]:
        if topic.startswith(GET):
            return [twin(topic[len(GET) :], 1, desired=desired)]
        return [said(f"$iothub/twin/res/204/?$rid={topic[len(REPORT) :]}")]

    result = held(
        hub(answer, []),
        puts=["one", "two"],
        reports={"led": "on"},
        spare=5000,
        speed=100,
        goal={"acked": 2, "reported": True},
    )
    assert (result["errors"], result["wholes"]) == ([None], [])
    assert (result["acked"], result["reports"]) == (2, {})
