"""The line of eight mixed virtual units: what the demo requires of itself, and what it leaves."""

import io
from pathlib import Path

from rich.console import Console

from firstlight.line.screen import Screen
from firstlight.linedemo import PULLED, WORN, play
from firstlight.record.reader import Reader


def test_a_tray_with_a_worn_unit_and_a_pulled_one_is_recorded_right(tmp_path: Path) -> None:
    shown = io.StringIO()
    with Screen(Console(file=shown, width=120), "demo", bell=False) as screen:
        story = play(tmp_path, screen, screen.say, jobs=4)  # other tests run beside
        screen.summary(story.results, story.seconds)
    states = {Path(result.seat).name: result.state for result in story.results}
    assert states.pop(WORN) == "failed"
    assert states.pop(PULLED) == "passed", "the last that was heard of it"
    assert set(states.values()) == {"passed"}
    assert len(story.heard) == len(states) + 1
    assert "pulled out: plug it in again" in shown.getvalue()
    with Reader.read(story.record) as record:
        pulled = [entry for entry in record.entries() if entry.seat == PULLED]
    assert [entry.outcome for entry in pulled].count("failed") == 1
    assert [entry.stage for entry in pulled].count("unit") == 1
    labels = {path.name for path in (tmp_path / "labels").iterdir()}
    assert labels == {f"{name}.{form}" for name in story.heard for form in ("qr.png", "zpl")}
