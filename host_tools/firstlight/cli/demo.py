"""`firstlight demo`: the whole story, told as a timeline. Prints; the story is demo.py's."""

import signal
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import click

from ..errors import ToolError

_COLOURS = {
    "azure": "blue",
    "dps": "blue",
    "hub": "green",
    "host": "yellow",
    "board": "cyan",
    "you": "magenta",
}


class Timeline:
    """Lines from several threads, each with the seconds since the start and who says it."""

    def __init__(self) -> None:
        self._start_s = time.monotonic()
        self._lock = threading.Lock()

    def tell(self, who: str, text: str) -> None:
        """Print one line."""
        with self._lock:
            since_s = time.monotonic() - self._start_s
            name = click.style(f"{who:>6}", fg=_COLOURS.get(who, "white"))
            click.echo(f"{since_s:6.2f} s  {name}  {text}")


@click.command()
def demo() -> None:
    """Take a bare virtual board to its first telemetry, on this machine alone.

    A local Azure comes up, a group is enrolled, a board is made, injected through mpremote's
    transport and powered twice. Needs no cloud account, no hardware, no root; ends with exit
    code 1 and the reason if any step fails.
    """
    from ..demo import play  # noqa: PLC0415  half a second of imports

    timeline = Timeline()
    _end_cleanly_on_signals()
    with tempfile.TemporaryDirectory(prefix="firstlight-") as folder:
        try:
            story = play(Path(folder), timeline.tell)
        except ToolError as error:  # whichever step it was, the demo failed: exit code 1
            raise ToolError(f"the demo failed: {error}") from None
    click.echo(
        f"\n{story.registration_id} was bare, and is in the hub. That is all there is to do."
    )


def _end_cleanly_on_signals() -> None:
    """Let SIGTERM and SIGHUP unwind as Ctrl-C does, so that no key stays behind in a folder."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:  # as under nohup
            signal.signal(number, _end)


def _end(number: int, _frame: Any) -> None:
    for one in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(one, signal.SIG_IGN)  # the clean-up is not to be interrupted
    raise SystemExit(128 + number)
