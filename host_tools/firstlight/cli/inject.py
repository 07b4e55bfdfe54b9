"""`firstlight inject`: firmware and one identity onto a board, with proof.

Puts the document together from options; every check and every write is inject.py's.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from .. import boards
from .. import inject as injection
from .. import keys as arithmetic
from ..errors import ToolError, UsageError
from ..firstboot import watch
from ..repl import Repl
from ..stage import StagedFile, compiled, loads_mpy, plan
from .credentials import chosen, key_options
from .identity import document_from, identity_options, roots_from_wishes

_MAX_APP = 65536  # bytes


@click.command()
@click.argument("board")
@click.option("--port", required=True, help="Its serial port: /dev/ttyUSB0, COM3, socket://...")
@key_options
@identity_options
@click.option(
    "--app",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Your app.py; by default the board keeps its own, or gets the example.",
)
@click.option("--source", is_flag=True, help="Copy .py files, not compiled ones, to debug with.")
@click.option("--no-reset", is_flag=True, help="Leave the board at its REPL afterwards.")
@click.option(
    "--first-boot",
    "first_boot_s",
    type=click.IntRange(1, 86400),
    metavar="SECONDS",
    help="Then watch it boot, until its first telemetry or for so long; exit 4 if none comes.",
)
def inject(board: str, port: str, **wishes: Any) -> None:
    """Give the BOARD on a port its firmware and its identity, and have it prove its key.

    BOARD is one of the names under boards/. Nothing is written before everything was checked;
    run it again after an interruption, and it completes.

    What the board proves itself with is one of four: a key of an enrollment group (--group-key)
    or of its own (--device-key); a certificate that a CA of `firstlight ca` makes now (--ca), with
    a key that exists on the board alone; or a certificate made by hand (--certificate).

    \b
    Examples:
      firstlight inject ESP32_GENERIC --port /dev/ttyUSB0 --id-scope 0ne00111111 \\
          --group-key file:group.key --wifi "shop floor=file:wifi.txt" --first-boot 120
      firstlight inject ESP32_GENERIC --port /dev/ttyUSB0 --id-scope 0ne00111111 --ca plant-ca \\
          --ca-passphrase file:batch.txt --wifi "shop floor=file:wifi.txt"
      firstlight inject RPI_PICO_W --port /dev/ttyACM0 --id-scope 0ne00111111 --wifi guest \\
          --certificate chain.pem --certificate-key file:key.pem
      firstlight inject VIRTUAL --port /dev/pts/3 --id-scope 0ne00111111 --group-key env:KEY \\
          --wifi firstlight=file:wifi.txt --endpoint localhost --root root.pem
    """
    kind = boards.load(board)
    document, roots = document_from(wishes), roots_from_wishes(wishes)
    if wishes["no_reset"] and wishes["first_boot_s"]:
        raise UsageError("--first-boot needs the reset that --no-reset leaves out")
    given = chosen(wishes)
    with Repl(port) as repl:
        found = repl.implementation()
        kind.check_platform(found.platform)
        as_mpy = not wishes["source"] and loads_mpy(found.mpy)
        unique_id = repl.unique_id()
        name = arithmetic.registration_id(
            wishes["registration_id"] or given.name or kind.registration_id(unique_id)
        )
        made = given.make(name)
        document |= {"registration_id": name} | made.section
        files = with_app(plan(as_mpy, roots), wishes["app"])
        click.echo(f"{name}: {kind.product} on {port}, chip {unique_id.hex()}")
        tell_certificate(name, made.facts)  # before it is used: whatever happens, it is known
        done = injection.inject(
            repl, document, files, lambda text: click.echo(f"  {text}"), made.root
        )
        click.echo(f"{name}: injected and proven, {len(done.written)} files written")
        if not wishes["no_reset"]:
            repl.reset()
    if wishes["first_boot_s"]:
        watch(port, wishes["first_boot_s"], lambda line: click.echo(f"  {line}"))
        click.echo(f"{name}: its first telemetry is in the hub")


def tell_certificate(name: str, facts: Mapping[str, str]) -> None:
    """Print which certificate a board got, to note: its serial number revokes it."""
    if "certificate" in facts:
        click.echo(f"{name}: certificate {facts['serial']}, good until {facts['good_until']}")
        click.echo(f"{name}: its SHA-256 is {facts['certificate']}")


def with_app(files: list[StagedFile], app: Path | None) -> list[StagedFile]:
    """The files, with the user's app.py for the example. Raise UsageError if it is none."""
    if app is None:
        return files
    if not app.is_file() or app.stat().st_size > _MAX_APP:
        raise UsageError(f"{app} is not a file of at most {_MAX_APP} bytes")
    own = StagedFile("/app.py", app.read_bytes())
    try:
        compiled(own.data, "app")
    except ToolError:
        raise UsageError(f"{app} is not Python that MicroPython takes") from None
    return [own if file.path == own.path else file for file in files]
