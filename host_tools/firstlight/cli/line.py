"""`firstlight line`: units side by side, from bare boards to proven devices, each in the record.

Puts the station together from options or a file of them, and ends it; the work is line/'s.
"""

import signal
import socket
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import ToolError, UsageError
from .credentials import line_key_options
from .identity import identity_options
from .record import record_option

if TYPE_CHECKING:
    from ..line.run import Line

_FORMS = ("qr.png", "datamatrix.png", "pdf", "zpl")
_CONFIG_BYTES = 65536
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def _defaults(context: click.Context, _: click.Parameter, path: Path | None) -> Path | None:
    """Take the options that a file gives as the defaults of the others."""
    if path is None:
        return None
    try:
        raw = path.read_bytes()
        if len(raw) > _CONFIG_BYTES:
            raise UsageError(f"{path} is too long to be a line's options")
        given = tomllib.loads(raw.decode())
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} cannot be read as TOML: {error}") from None
    known = {
        option.lstrip("-"): parameter
        for parameter in context.command.params
        for option in parameter.opts
    }
    found = {}
    for name, value in given.items():
        if name not in known or name == "config":
            raise UsageError(f"{path}: there is no option {name!r}; see firstlight line --help")
        found[known[name].name or ""] = _taken(f"{path}: {name}", known[name], value)
    context.default_map = {**(context.default_map or {}), **found}
    return path


def _taken(what: str, option: click.Parameter, value: Any) -> Any:
    """An option's value in a file, of the kind that the option has."""
    is_flag = isinstance(option, click.Option) and option.is_flag
    if option.multiple or option.nargs == -1:
        values = [value] if isinstance(value, str) else value
        if not isinstance(values, list) or not all(isinstance(one, str) for one in values):
            raise UsageError(f"{what} must be a list of texts")
        return values
    if isinstance(value, bool) != is_flag or not isinstance(value, str | int):
        raise UsageError(f"{what} must be {'true or false' if is_flag else 'text or a number'}")
    return value


@click.command()
@click.argument("kinds", nargs=-1, metavar="BOARD[=PORTS]...")
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    callback=_defaults,
    is_eager=True,
    expose_value=False,
    help='A TOML file with these options, as id-scope = "0ne..."; kinds = ["ESP32_GENERIC"].',
)
@line_key_options
@identity_options
@record_option
@click.option(
    "--station", default=socket.gethostname, help="This station's name; by default the PC's."
)
@click.option(
    "--image", "images", multiple=True, metavar="[BOARD=]FILE", help="MicroPython, for a kind."
)
@click.option("--sha256", help="What the SHA-256 of the one --image must be.")
@click.option("--no-flash", is_flag=True, help="The boards have MicroPython already.")
@click.option("--erase", is_flag=True, help="Erase the whole flash before it is written.")
@click.option("--no-verify", is_flag=True, help="Do not read back what was flashed.")
@click.option(
    "--baud",
    type=click.IntRange(9600, 4_000_000),
    default=460800,
    show_default=True,
    help="How fast to talk to an ESP32.",
)
@click.option(
    "--app",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Your app.py, for each unit.",
)
@click.option("--source", is_flag=True, help="Files as .py, not compiled, to debug with.")
@click.option(
    "--first-boot",
    "first_boot_s",
    type=click.IntRange(1, 86400),
    metavar="SECONDS",
    help="Watch each unit to its first telemetry, for so long at most.",
)
@click.option("--name", "template", help="Ids with a serial number: sensor-{serial:06d}.")
@click.option("--again", is_flag=True, help="Have units that are done prove their key once more.")
@click.option(
    "--labels",
    type=click.Path(file_okay=False, path_type=Path),
    help="Put a label for each unit into this folder.",
)
@click.option(
    "--label-form",
    "forms",
    multiple=True,
    type=click.Choice(_FORMS),
    default=["pdf"],
    show_default=True,
    help="What kind of label; may be repeated.",
)
@click.option(
    "--label-template",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="How a label looks; `firstlight label template` prints one to begin with.",
)
@click.option("--count", type=click.IntRange(1), help="End when so many units are through.")
@click.option(
    "--jobs", type=click.IntRange(1, 64), default=16, show_default=True, help="Units at a time."
)
@click.option("--quiet", is_flag=True, help="No bell.")
def line(kinds: tuple[str, ...], **wishes: Any) -> None:
    """Make every BOARD that is plugged in a device, until Ctrl-C.

    Each goes through: flash, identify, get its key or certificate, inject, prove, first boot (with
    --first-boot), record, label (with --labels). Pull a unit out, press Ctrl-C, cut the power: a
    unit that comes again goes on where the record says it was, and is never in there twice.

    PORTS is a glob; without, boards are found by their USB ids. The group key, or the key of the
    CA's batch, is held in memory, or stays in its token; the boards and the record never see it.
    With --ca each unit gets a key of its own, which is nowhere but on the board, and a certificate
    for it, whose serial number and fingerprint the record has.

    \b
    Examples:
      firstlight line ESP32_GENERIC --id-scope 0ne00111111 --group-key file:group.key \\
          --wifi "shop floor=file:wifi.txt" --first-boot 120 --labels labels
      firstlight line ESP32_GENERIC --id-scope 0ne00111111 --wifi "shop floor=file:wifi.txt" \\
          --ca plant-ca --ca-passphrase keyring:firstlight/batch-7
      firstlight line RPI_PICO_W --config line.toml --record postgresql://line@server/line
      firstlight line 'VIRTUAL=tray/*' --config line.toml --count 8
    """
    from rich.console import Console  # noqa: PLC0415  half a second of imports

    from ..line.run import Line  # noqa: PLC0415
    from ..line.screen import Screen  # noqa: PLC0415
    from .station import opened  # noqa: PLC0415

    title = f"firstlight line, station {wishes['station']}"
    with opened(kinds, wishes) as station:
        screen = Screen(Console(), title, not wishes["quiet"])
        work = Line(station, screen, wishes["jobs"])
        with _ended_on_signals(work), screen:
            work.run(wishes["count"])
        screen.summary(work.results, work.seconds)
        number, digest = station.record.head()
    click.echo(f"the record's head, to note: {number}:{digest}")
    _end(work)


@contextmanager
def _ended_on_signals(work: "Line") -> Iterator[None]:
    """The first Ctrl-C: no new unit; the second: units stop where they can; the third: at once."""

    def told(number: int, _frame: Any) -> None:
        if work.stopped.is_set():
            signal.signal(number, signal.SIG_DFL)
            raise KeyboardInterrupt
        if work.draining.is_set() or number != signal.SIGINT:
            work.stopped.set()
            work.screen.say("stopping the units; they go on where they were, next time")
        else:
            work.screen.say("no new units; Ctrl-C again stops those at work")
        work.draining.set()

    before = {number: signal.getsignal(number) for number in _ENDING}
    for number, handler in before.items():
        if handler != signal.SIG_IGN:  # as under nohup
            signal.signal(number, told)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(work: "Line") -> None:
    """The exit code: 1 if a unit failed, 130 if the line was stopped."""
    failed = [result for result in work.results if result.state == "failed"]
    if work.stopped.is_set():
        raise KeyboardInterrupt
    if failed:
        raise ToolError(f"{len(failed)} of {len(work.results)} units failed; see above")
