"""device.py on real MicroPython: the order of its phases, and what their failures lead to."""

from typing import Any

import pytest

SET_AT = 1800000000
SLEPT = {"step": 0, "failed": 3, "sync": False}


@pytest.fixture
def play(on_micropython: Any) -> Any:
    def run(phases: str, kept: bool = False) -> list[int]:
        """phases: "wifi clock:lost ..."; what has no error goes well. Return the waits."""
        script = [
            [name, what or "ok"] for name, _, what in (p.partition(":") for p in phases.split(" "))
        ]
        asked = {"kept": kept, "phases": [[name, what.replace("_", " ")] for name, what in script]}
        run.result = on_micropython("device_probe.py", asked)  # type: ignore[attr-defined]
        assert run.result["ran"] == [name for name, _ in script]  # type: ignore[attr-defined]
        waits: list[int] = run.result["waits"]  # type: ignore[attr-defined]
        return waits

    return run


def test_a_first_boot_goes_through_every_phase(play: Any) -> None:
    assert play("wifi clock register wifi serve") == [0, 0]
    assert play.result["up_s"] >= 4 * 900  # though the ticks wrap meanwhile


def test_a_kept_hub_is_served_without_dps(play: Any) -> None:
    assert play("wifi clock serve wifi serve", kept=True) == [0, 0]


def test_a_wait_that_is_over_does_not_keep_the_next_step_from_running(play: Any) -> None:
    """With the clock asked a minute ago there is no other reason for that step."""
    play("wifi clock register:lost wifi clock register wifi serve")


def test_a_refusal_is_believed_once_the_clock_was_asked_again(play: Any) -> None:
    waits = play("wifi clock register:401 wifi clock wifi register")
    assert waits[0] == 0
    assert waits[1] >= 300  # it was right: the slow path


def test_a_clock_that_was_wrong_excuses_the_refusal(play: Any) -> None:
    assert play("wifi clock register:401 wifi clock:4000 register wifi serve") == [0, 0, 0]


def test_without_any_time_nothing_is_signed(play: Any) -> None:
    waits = play("wifi clock:lost wifi clock register")
    assert 1 <= waits[0] <= 10


def test_a_network_that_is_away_is_tried_again_and_is_not_held_against_the_hub(play: Any) -> None:
    """Days without Wi-Fi, then one lost connection: the hub still has its 15 minutes."""
    away = " ".join(["wifi:lost"] * 7)
    waits = play(f"{away} wifi clock serve:lost wifi clock serve", kept=True)
    assert max(waits) <= 300


def test_a_hub_that_refuses_is_followed_by_dps_at_once_whatever_came_before(play: Any) -> None:
    waits = play("wifi:lost wifi clock serve:CONNACK_5 wifi clock register wifi serve", True)
    assert waits[1:] == [0, 0, 0]


def test_what_is_too_large_for_the_memory_is_a_failure_of_the_connection(play: Any) -> None:
    waits = play("wifi clock serve:no_memory wifi clock serve", kept=True)
    assert 1 <= waits[0] <= 10


def woken(
    on_micropython: Any, phase: str, at: int, interval_s: float = 60, **left: Any
) -> dict[str, Any]:
    asked = {"left": left, "phase": phase, "at": at, "interval_s": interval_s}
    found: dict[str, Any] = on_micropython("wake_probe.py", asked)
    return found


def test_a_plan_goes_on_after_a_sleep_though_the_flash_does_not_forget_it(
    on_micropython: Any,
) -> None:
    found = woken(on_micropython, "sleep", SET_AT, plan=SLEPT, up_s=5000, dropped=7)
    assert (found["plan"]["failed"], found["plan"]["sync"], found["dropped"]) == (3, False, 7)
    assert found["plan"]["keys"] == 1  # which an older plan may lack
    assert not found["lean"]


def test_a_clock_that_a_sleep_stopped_is_set_first(on_micropython: Any) -> None:
    found = woken(on_micropython, "sleep", 1609459200, plan=SLEPT, up_s=5000)
    assert found["plan"]["sync"] is True


def test_a_life_that_ended_while_registering_is_followed_by_one_that_does_that_first(
    on_micropython: Any,
) -> None:
    found = woken(on_micropython, "register", SET_AT)
    assert found["lean"]
    assert found["plan"]["step"] == 1
    assert not woken(on_micropython, "serve", SET_AT)["lean"]


def test_an_interval_is_one_that_a_boards_ticks_can_count(on_micropython: Any) -> None:
    for interval_s, interval_ms in ((0.5, 500), (0, 100), (-5, 100), (7 * 86400, 500_000_000)):
        found = woken(on_micropython, "serve", SET_AT, interval_s)
        assert found["interval_ms"] == interval_ms < 2**29
