"""device.py on real MicroPython: the order of its phases, and what their failures lead to."""

from typing import Any

import pytest


@pytest.fixture
def play(on_micropython: Any) -> Any:
    def run(phases: str, kept: bool = False) -> list[float]:
        """phases: "wifi sntp:lost ..."; what has no error goes well. Return the waits."""
        script = [
            [name, what or "ok"] for name, _, what in (p.partition(":") for p in phases.split(" "))
        ]
        asked = {"kept": kept, "phases": [[name, what.replace("_", " ")] for name, what in script]}
        result = on_micropython("device_probe.py", asked)
        assert result["ran"] == [name for name, _ in script]
        waits: list[float] = result["waits"]
        return waits

    return run


def test_a_first_boot_goes_through_every_phase(play: Any) -> None:
    assert play("wifi sntp register wifi serve") == [0, 0]


def test_a_kept_hub_is_served_without_dps(play: Any) -> None:
    assert play("wifi sntp serve wifi serve", kept=True) == [0, 0]


def test_the_clock_is_asked_for_again_after_any_refusal(play: Any) -> None:
    waits = play(
        "wifi sntp register:401 wifi sntp register wifi serve:CONNACK_5 wifi sntp register"
    )
    assert waits[0] >= 300


def test_without_a_time_server_a_plausible_clock_will_do(play: Any) -> None:
    play("wifi sntp register:401 wifi sntp:lost register")


def test_without_any_time_nothing_is_signed(play: Any) -> None:
    assert play("wifi sntp:lost wifi sntp register")[0] == 3.75


def test_a_network_that_is_away_is_tried_again_and_is_not_held_against_the_hub(play: Any) -> None:
    """Days without Wi-Fi, then one lost connection: the hub still has its 15 minutes."""
    away = " ".join(["wifi:lost"] * 20)
    waits = play(f"{away} wifi sntp serve:lost wifi sntp serve", kept=True)
    assert waits[0] == 3.75
    assert max(waits) <= 300


def test_a_hub_that_refuses_is_followed_by_dps_at_once_whatever_came_before(play: Any) -> None:
    waits = play("wifi:lost wifi sntp serve:CONNACK_5 wifi sntp register wifi serve", kept=True)
    assert waits == [3.75, 0, 0, 0]
