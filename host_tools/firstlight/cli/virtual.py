"""`firstlight virtual`: a board on this machine, MicroPython's unix port on a PTY."""

from pathlib import Path
from typing import Any

import click

from ..errors import UsageError
from ..unitfolder import KINDS, VIRTUAL
from .options import secret


@click.group()
def virtual() -> None:
    """Make and power a virtual board.

    \b
    Examples:
      firstlight virtual make bench-1 --wifi firstlight=file:wifi.txt
      firstlight virtual on bench-1
      firstlight virtual make bench-2 --kind VIRTUAL_ESP32
      mpremote connect /dev/pts/3 repl
      firstlight virtual air bench-1 --without firstlight
    """


@virtual.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--unique-id", metavar="HEX", help="The chip's id; by default a random one.")
@click.option(
    "--wifi",
    multiple=True,
    metavar="SSID[=SOURCE]",
    help="A network in its air, and where the password is kept; may be repeated.",
)
@click.option(
    "--kind",
    type=click.Choice(KINDS),
    default=VIRTUAL,
    show_default=True,
    help="How it is flashed: not at all, by esptool, or by a .uf2.",
)
def make(folder: Path, unique_id: str | None, wifi: tuple[str, ...], kind: str) -> None:
    """Make a board in FOLDER, its flash erased.

    \b
    Examples:
      firstlight virtual make bench-1 --wifi bench=file:wifi.txt
      firstlight virtual make bench-2 --kind VIRTUAL_PICO_W --unique-id e6614104f1000001
    """
    from ..virtual import make as make_board  # noqa: PLC0415

    try:
        chip = None if unique_id is None else bytes.fromhex(unique_id)
    except ValueError:
        raise UsageError("--unique-id must be hexadecimal digits") from None
    air = dict(_network(text) for text in wifi)
    make_board(folder, unique_id=chip, wifi=air, kind=kind)
    click.echo(f"a board in {folder}; power it: firstlight virtual on {folder}")


@virtual.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
def on(folder: Path) -> None:
    """Power the board in FOLDER, print its port and its console; Ctrl-C cuts the power.

    While it is on, FOLDER/port is its serial port, or FOLDER/RPI-RP2 the volume of its boot
    loader.

    \b
    Example:
      firstlight virtual on bench-1
    """
    from ..virtual import VirtualBoard  # noqa: PLC0415

    with VirtualBoard(folder) as board:
        where = board.port or "as a volume, for a .uf2"
        click.echo(f"on {where}; Ctrl-C cuts the power", err=True)
        for piece in board.follow():
            click.echo(piece, nl=False)


@virtual.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--without", multiple=True, metavar="SSID", help="A network that is gone.")
@click.option("--rssi", multiple=True, metavar="SSID=DBM", help="How strong a network is.")
@click.option("--hidden", multiple=True, metavar="SSID", help="A network that no scan shows.")
@click.option("--quirk", multiple=True, metavar="NAME", help="lies, scan fails, no lease, ...")
@click.option("--cable/--no-cable", default=None, help="A W5500's; in before the power is on.")
def air(
    folder: Path,
    without: tuple[str, ...],
    rssi: tuple[str, ...],
    hidden: tuple[str, ...],
    quirk: tuple[str, ...],
    cable: bool | None,
) -> None:
    """Change what is around the board in FOLDER, on or off. Without options: as it was made.

    \b
    Examples:
      firstlight virtual air bench-1 --without bench
      firstlight virtual air bench-1 --rssi bench=-88
      firstlight virtual air bench-1
    """
    from ..virtual import VirtualBoard  # noqa: PLC0415

    board = VirtualBoard(folder)
    left = {ssid: key for ssid, key in board.settings.wifi.items() if ssid not in without}
    try:
        heard = {ssid: int(dbm) for ssid, _, dbm in (text.rpartition("=") for text in rssi)}
    except ValueError:
        raise UsageError("--rssi must be SSID=DBM, as in home=-70") from None
    for ssid in {*without, *hidden, *heard} - set(board.settings.wifi):
        raise UsageError(f"the board in {folder} was made without a network {ssid!r}")
    board.set_air(
        wifi=left if without else None,
        rssi=dict(heard) or None,
        hidden=list(hidden) or None,
        quirks=list(quirk) or None,
        cable=cable,
    )


def _network(text: str) -> Any:
    ssid, equals, source = text.rpartition("=") if "=" in text else (text, "", "")
    return ssid, secret(source, f"the password of {ssid}") if equals else ""
