"""The command line: `firstlight VERB ...`. The only place that prints, and that ends with a code.

A failure is one ToolError, caught here once and told in one line. Each group of verbs has a
file of its own, and does nothing but take the words apart and call.
"""

import sys
from contextlib import suppress

import click

from ..errors import ToolError


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 99})
@click.version_option(package_name="firstlight")
def firstlight() -> None:
    """From a bare ESP32 or RP2040 to its first telemetry in Azure IoT Hub.

    \b
    Try it without a board or a cloud account:   firstlight demo
    A local Azure for your own tests:            firstlight emulate
    A device key from a group's key:             firstlight keys derive --help
    A board gets its firmware and identity:      firstlight inject --help

    \b
    Exit codes: 0 done, 1 failed, 2 wrong input, 3 the board or its port, 4 the service said no,
    5 the board did not prove its key, 130 interrupted.
    """


def main() -> None:
    """Run the command line and end the process."""
    try:
        _add_verbs()
        code = firstlight.main(standalone_mode=False)
    except ToolError as error:
        code = _told(f"firstlight: {error}", error.exit_code)
    except click.ClickException as error:
        error.show()
        code = error.exit_code
    except (KeyboardInterrupt, click.Abort):
        code = _told("firstlight: interrupted", 130)
    except BrokenPipeError:  # as when the output goes to `head`
        code = _stdout_is_gone(141)
    except OSError as error:  # as when the disk is full
        code = _stdout_is_gone(_told(f"firstlight: {error}", 1))
    sys.exit(code if isinstance(code, int) else 0)


def _add_verbs() -> None:
    """Half a second of imports, which Ctrl-C may interrupt as it may all that follows."""
    from .demo import demo  # noqa: PLC0415
    from .emulate import emulate  # noqa: PLC0415
    from .enroll import enroll  # noqa: PLC0415
    from .inject import inject  # noqa: PLC0415
    from .keys import keys  # noqa: PLC0415
    from .virtual import virtual  # noqa: PLC0415

    for verb in (demo, emulate, enroll, inject, keys, virtual):
        firstlight.add_command(verb)


def _stdout_is_gone(code: int) -> int:
    """Keep the end of the process from writing what is left once more, and failing once more."""
    with suppress(OSError, AttributeError):
        sys.stdout.close()
    return code


def _told(text: str, code: int) -> int:
    click.echo(text, err=True)
    return code
