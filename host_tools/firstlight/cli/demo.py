"""`firstlight demo`: the whole story, told as a timeline. Prints; the story is demo.py's."""

import signal
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import click

from ..errors import ToolError, UsageError

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_COLOURS = {
    "azure": "blue",
    "ca": "yellow",
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
@click.option("--line", "as_line", is_flag=True, help="A factory line of eight units instead.")
@click.option(
    "--attestation",
    type=click.Choice(["symmetric-key", "x509"]),
    default="symmetric-key",
    show_default=True,
    help="What the board proves itself with: a key, or a certificate.",
)
def demo(as_line: bool, attestation: str) -> None:
    """Take a bare virtual board to its first telemetry, on this machine alone.

    A local Azure comes up, a group is enrolled, a board is made, injected through mpremote's
    transport and powered twice. Needs no cloud account, no hardware, no root; ends with exit
    code 1 and the reason if any step fails.

    With --attestation x509 a CA is made, DPS verifies it by proof of possession, the board gets a
    certificate and connects by mutual TLS; in the end DPS issues it the next one.

    With --line, eight mixed boards go through a factory line side by side: the flash of one is
    worn out, and one is pulled out at work and plugged in again; the record must be right.

    \b
    Examples:
      firstlight demo
      firstlight demo --attestation x509
      firstlight demo --line
    """
    if as_line and attestation != "symmetric-key":
        raise UsageError("the demo of a line is by keys: name --line or --attestation, not both")
    _end_cleanly_on_signals()
    if as_line:
        _play_line()
    else:
        _play(attestation)


def _play(attestation: str) -> None:
    from ..demo import play  # noqa: PLC0415  half a second of imports

    timeline = Timeline()
    with tempfile.TemporaryDirectory(prefix="firstlight-") as folder:
        try:
            story = play(Path(folder), timeline.tell, attestation)
        except ToolError as error:  # whichever step it was, the demo failed: exit code 1
            raise ToolError(f"the demo failed: {error}") from None
    click.echo(
        f"\n{story.registration_id} was bare, and is in the hub. That is all there is to do."
    )


def _play_line() -> None:
    from rich.console import Console  # noqa: PLC0415

    from ..line.screen import Screen  # noqa: PLC0415
    from ..linedemo import play  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="firstlight-") as folder:
        with Screen(Console(), "firstlight demo --line", bell=False) as screen:
            story = play(Path(folder), screen, screen.say)
        screen.summary(story.results, story.seconds)
    click.echo(
        f"\n{len(story.heard)} units are in the hub; the record says which is not, and why."
    )


def _end_cleanly_on_signals() -> None:
    """Let each signal unwind as Ctrl-C does, and once, so that no key stays behind in a folder."""
    for number in _ENDING:
        if signal.getsignal(number) != signal.SIG_IGN:  # as under nohup
            signal.signal(number, _end)


def _end(number: int, _frame: Any) -> None:
    for one in _ENDING:
        signal.signal(one, signal.SIG_IGN)  # the clean-up is not to be interrupted
    if number == signal.SIGINT:
        raise KeyboardInterrupt
    raise SystemExit(128 + number)
