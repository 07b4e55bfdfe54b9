"""The command line: `firstlight VERB ...`. The only place that prints, and that ends with a code.

A failure is one ToolError, caught here once and told in one line. Each group of verbs has a
file of its own, and does nothing but take the words apart and call.
"""

import sys
from contextlib import suppress
from importlib import import_module
from io import StringIO, TextIOWrapper
from typing import Any

import click

from ..errors import ToolError
from ..guard import guard
from ..record.rules import veiled

_VERBS = (
    "ca",
    "demo",
    "doctor",
    "emulate",
    "enroll",
    "fault",
    "flash",
    "image",
    "inject",
    "keys",
    "label",
    "line",
    "record",
    "roots",
    "virtual",
)


class _NobodyReads(Exception):
    """Standard output is a pipe whose other end is gone. (Click would end with 1 for EPIPE.)"""


class _Verbs(click.Group):
    """The verbs, each imported when it is called: most need libraries that the others do not."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  (click's form)
        return list(_VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _VERBS:
            return None
        verb: click.Command = getattr(import_module(f".{cmd_name}", __package__), cmd_name)
        return verb

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise _NobodyReads from None


@click.group(
    cls=_Verbs,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 99},
)
@click.version_option(package_name="firstlight")
def firstlight() -> None:
    """From a bare ESP32 or RP2040 to its first telemetry in Azure IoT Hub.

    \b
    Try it without a board or a cloud account:   firstlight demo
    A local Azure for your own tests:            firstlight emulate
    What it is to do wrong:                      firstlight fault --help
    A device key from a group's key:             firstlight keys derive --help
    A board gets its firmware and identity:      firstlight inject --help
    Trays of bare boards, side by side:          firstlight line --help
    What ails a board from the field:            firstlight doctor --help
    New trust roots for boards in the field:     firstlight roots --help
    The factory's own certificates:              firstlight ca --help

    \b
    Exit codes: 0 done, 1 failed, 2 wrong input, 3 the board or its port, 4 the service said no,
    5 the board did not prove its key, 130 interrupted.
    """


def main() -> None:
    """Run the command line and end the process."""
    guard()
    _take_any_text()
    try:
        code = firstlight.main(standalone_mode=False)
    except ToolError as error:
        code = _told(f"firstlight: {error}", error.exit_code)
    except click.ClickException as error:
        words = StringIO()
        error.show(words)  # with the words that it did not take
        code = _told(words.getvalue().rstrip("\n"), error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        code = _told("firstlight: interrupted", 130)
    except _NobodyReads:  # as when the output goes to `head`
        code = _stdout_is_gone(141)
    except OSError as error:  # as when the disk is full
        code = _stdout_is_gone(_told(f"firstlight: {error}", 1))
    sys.exit(code if isinstance(code, int) else 0)


def _take_any_text() -> None:
    """Print what the screen cannot show as escapes, instead of ending at it."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def _stdout_is_gone(code: int) -> int:
    """Keep the end of the process from writing what is left once more, and failing once more."""
    with suppress(OSError, AttributeError):
        sys.stdout.close()
    return code


def _told(text: str, code: int) -> int:
    click.echo(veiled(text), err=True)
    return code
