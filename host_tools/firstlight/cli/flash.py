"""`firstlight flash`: MicroPython and the firmware's files onto one board, in one go.

Puts options together; what lies where and how it is written, flash/ knows.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from .. import keys
from ..boards import Board
from ..errors import UsageError
from ..flash import esptool
from ..flash.flashing import Options, Place
from ..flash.flashing import flash as write
from ..flash.nvsimage import pieces_with_identity
from ..flash.pieces import Piece
from ..flash.uf2drive import Volume, volume_at
from ..flash.whole import pieces
from ..inject import checked
from .contents import content_options, files_from, image_from, kind_from
from .credentials import chosen, key_options
from .identity import document_from, optional_identity_options
from .inject import tell_certificate
from .progress import shown

# Options that say something about an identity, and so nothing without --nvs. (--root does.)
_IDENTITY = (
    "id_scope", "group_key", "secondary_group_key", "device_key", "registration_id", "wifi",
    "endpoint", "mqtt_port", "https_port", "ntp", "ethernet", "ifconfig", "led", "payload",
    "model_id", "roots_key", "ca", "ca_passphrase", "batch", "certificate", "certificate_key",
    "certificate_passphrase", "csr",
)  # fmt: skip


@click.command()
@click.argument("board")
@click.option(
    "--port", help="Its serial port: /dev/ttyUSB0, COM3; of a virtual board FOLDER/port."
)
@click.option(
    "--volume",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="The drive of an RP2 in its boot loader, if more than one is there.",
)
@content_options
@click.option(
    "--firmware-files/--bare",
    "with_files",
    default=True,
    help="With the firmware's files, which makes the board's file system anew, and is the "
    "default; or MicroPython alone.",
)
@click.option(
    "--erase/--keep",
    default=False,
    help="Erase all of the flash before, or keep what nothing is written over, the default.",
)
@click.option("--no-verify", is_flag=True, help="Do not read back once more what was written.")
@click.option(
    "--baud",
    type=click.IntRange(9600, 4_000_000),
    default=460800,
    show_default=True,
    help="How fast to talk to an ESP32.",
)
@click.option(
    "--timeout",
    "timeout_s",
    type=click.IntRange(1, 86400),
    default=60,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait for an RP2 to come into its boot loader.",
)
@click.option(
    "--nvs",
    is_flag=True,
    help="Write the unit's identity into an ESP32's NVS, too. All options below but --root are "
    "for it.",
)
@key_options
@optional_identity_options
def flash(board: str, port: str | None, volume: Path | None, **wishes: Any) -> None:
    """Write MicroPython and the firmware's files to a BOARD.

    An ESP32 is written by esptool over its serial port, and what it holds is compared. An RP2 is
    sent into its boot loader over its port; or, without --port, hold BOOTSEL and plug it in: the
    file is copied onto the drive that it shows, or written by picotool if nobody mounts that.

    The files take the place of the board's whole file system, with the identity in it: run
    `firstlight inject` afterwards, which finds every file in place. With --bare the board's file
    system stays as it is, and so does all that is not written to, unless --erase is given.

    \b
    Examples:
      firstlight flash ESP32_GENERIC --port /dev/ttyUSB0
      firstlight flash ESP32_GENERIC_S3 --port /dev/ttyACM0 --image own.bin --bare --erase
      firstlight flash RPI_PICO_W
      firstlight flash ESP32_GENERIC --port /dev/ttyUSB0 --nvs --id-scope 0ne00111111 \\
          --group-key file:group.key --wifi "shop floor=file:wifi.txt"
      firstlight flash VIRTUAL --port bench-1/port
    """
    kind = kind_from(board, wishes)
    place = _place(kind, port, volume)
    _check_identity_options(kind, wishes)
    document = document_from(wishes) if wishes["nvs"] else None
    given = chosen(wishes) if wishes["nvs"] else None
    image = image_from(kind, wishes)
    files = files_from(kind, image, wishes) if wishes["with_files"] else []
    kind, chip_id = _asked(kind, port, wishes)
    parts = pieces(kind, image, files)
    if document is not None and given is not None:
        name = keys.registration_id(
            wishes["registration_id"] or given.name or kind.registration_id(chip_id)
        )
        made = given.make(name)
        document |= {"registration_id": name} | made.section
        parts = pieces_with_identity(kind, parts, checked(document))
        click.echo(f"{name}: its identity goes into NVS, and is not proven before it runs")
        tell_certificate(name, made.facts)
    options = Options(
        wishes["erase"], not wishes["no_verify"], wishes["baud"], float(wishes["timeout_s"])
    )
    _write(kind, place, parts, options)


def _write(kind: Board, place: Place, parts: list[Piece], options: Options) -> None:
    drive = str(place.volume.path) if isinstance(place.volume, Volume) else ""
    where = place.port or drive or "its boot loader"
    click.echo(f"{kind.product} on {where}:")
    for piece in parts:
        click.echo(f"  {piece.name}: {len(piece.data)} bytes at {piece.offset:#x}")
    with shown("flash") as (progress, say):
        write(kind, place, parts, options, progress, say)
    click.echo(f"{kind.product} on {where}: flashed")


def _place(kind: Board, port: str | None, volume: Path | None) -> Place:
    if kind.loader == "uf2":
        return Place(port, volume_at(volume) if volume else None)
    if volume is not None:
        raise UsageError(f"--volume is the drive of an RP2, and a {kind.id} shows none")
    if port is None:
        raise UsageError(f"a {kind.id} is flashed over its serial port: name it with --port")
    return Place(port)


def _check_identity_options(kind: Board, wishes: dict[str, Any]) -> None:
    given = [name for name in _IDENTITY if wishes[name] not in (None, ())]
    if not wishes["nvs"]:
        if given:
            option = given[0].replace("_", "-")
            raise UsageError(
                f"--{option} is for --nvs: to have an identity flashed, add that; or leave it "
                "out, and run `firstlight inject` afterwards"
            )
        return
    if kind.loader != "esptool":
        raise UsageError(f"--nvs is for an ESP32: a {kind.id} gets its identity by inject")
    if not wishes["id_scope"]:
        raise UsageError("an identity needs an --id-scope")
    if not wishes["with_files"] and not wishes["erase"]:
        raise UsageError(
            "--nvs with --bare needs --erase: an identity.json in the file system that is kept "
            "would be used instead"
        )


def _asked(kind: Board, port: str | None, wishes: dict[str, Any]) -> tuple[Board, bytes]:
    """The board with its own flash's size, which its file system fills, and its chip's id.

    An ESP32 is asked only for what is needed.
    """
    sized = kind.loader == "esptool" and kind.filesystem is None and wishes["with_files"]
    if port is None or not (sized or wishes["nvs"]):
        return kind, b""
    chip = esptool.chip(kind, port)
    if not sized or chip.flash_bytes is None:
        return kind, chip.id
    if wishes["flash_mb"] and kind.flash_bytes != chip.flash_bytes:
        raise UsageError(
            f"the chip on {port} has {chip.flash_bytes >> 20} MB of flash: leave --flash-size out"
        )
    return replace(kind, flash_bytes=chip.flash_bytes), chip.id
