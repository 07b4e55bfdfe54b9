"""`firstlight inject`: firmware and one identity onto a board, with proof.

Puts the document together from options; every check and every write is inject.py's.
"""

import json
from pathlib import Path
from typing import Any

import click

from .. import boards
from .. import inject as injection
from .. import keys as arithmetic
from ..boards import Board
from ..errors import ToolError, UsageError
from ..firstboot import watch
from ..repl import Repl
from ..rootbundle import modulus_b64
from ..roots import azure_roots, roots_from
from ..stage import StagedFile, compiled, loads_mpy, plan
from .options import key, secret, source_option
from .roots import public_key_from, roots_key_option

_MAX_APP = 65536  # bytes


@click.command()
@click.argument("board")
@click.option("--port", required=True, help="Its serial port: /dev/ttyUSB0, COM3, socket://...")
@click.option("--id-scope", required=True, help="The DPS instance's ID scope, 0ne...")
@source_option("--group-key", "the enrollment group's key, to derive the device's from")
@source_option("--secondary-group-key", "its secondary key, for the device to fall back on")
@source_option("--device-key", "the device's own key, of an individual enrollment")
@click.option("--registration-id", help="By default made of the chip's unique id.")
@click.option(
    "--wifi",
    multiple=True,
    metavar="SSID[=SOURCE]",
    help="A network, and where its password is kept; may be repeated.",
)
@click.option("--endpoint", help="DPS's host, if not Azure's global one.")
@click.option("--mqtt-port", type=int, help="Its port and the hub's, if not 8883.")
@click.option("--https-port", type=int, help="DPS's HTTPS port, asked for the time, if not 443.")
@click.option(
    "--ntp",
    multiple=True,
    help="A time server, HOST or HOST:PORT, if not pool.ntp.org; may be repeated.",
)
@click.option(
    "--ethernet",
    metavar="PINS",
    help="A W5500 instead of Wi-Fi: spi=1,sck=12,mosi=11,miso=13,cs=10,int=4,reset=9.",
)
@click.option(
    "--ifconfig",
    metavar="ADDRESS,MASK,GATEWAY,DNS",
    help="A static address, on Ethernet or on the one Wi-Fi network.",
)
@click.option("--led", help="The pin of a status LED: 2, LED; ~2 if a low level lights it.")
@click.option("--payload", metavar="JSON", help="An object for custom allocation.")
@click.option("--model-id", help="The device's IoT Plug and Play model, dtmi:...")
@click.option(
    "--root",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Trust this root certificate (PEM) instead of Azure's: a local Azure's.",
)
@roots_key_option(False, "boards without one keep the roots they are given now")
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

    \b
    Examples:
      firstlight inject ESP32_GENERIC --port /dev/ttyUSB0 --id-scope 0ne00111111 \\
          --group-key file:group.key --wifi "shop floor=file:wifi.txt" --first-boot 120
      firstlight inject VIRTUAL --port /dev/pts/3 --id-scope 0ne00111111 --group-key env:KEY \\
          --wifi firstlight=file:wifi.txt --endpoint localhost --root root.pem
    """
    kind = boards.load(board)
    document = _document(wishes)
    roots = roots_from(wishes["root"]) if wishes["root"] else azure_roots()
    if wishes["no_reset"] and wishes["first_boot_s"]:
        raise UsageError("--first-boot needs the reset that --no-reset leaves out")
    group, second, own = _keys(wishes)
    with Repl(port) as repl:
        found = repl.implementation()
        _check_kind(kind, found.platform)
        as_mpy = not wishes["source"] and loads_mpy(found.mpy)
        unique_id = repl.unique_id()
        name = arithmetic.registration_id(
            wishes["registration_id"] or kind.registration_id(unique_id)
        )
        pair = {"primary": own or arithmetic.derive(group, name)}
        if second:
            pair["secondary"] = arithmetic.derive(second, name)
        document |= {"registration_id": name, "symmetric_key": pair}
        files = _with_app(plan(as_mpy, roots), wishes["app"])
        click.echo(f"{name}: {kind.product} on {port}, chip {unique_id.hex()}")
        done = injection.inject(repl, document, files, lambda text: click.echo(f"  {text}"))
        click.echo(f"{name}: injected and proven, {len(done.written)} files written")
        if not wishes["no_reset"]:
            repl.reset()
    if wishes["first_boot_s"]:
        watch(port, wishes["first_boot_s"], lambda line: click.echo(f"  {line}"))
        click.echo(f"{name}: its first telemetry is in the hub")


def _check_kind(kind: Board, platform: str) -> None:
    """Raise UsageError if the board on the port is not of the kind that was named."""
    expected = {"unix": "linux"}.get(kind.port, kind.port)
    if platform != expected:
        raise UsageError(f"a {kind.id} reports {expected}, but the board there reports {platform}")


def _keys(wishes: dict[str, Any]) -> tuple[str, str, str]:
    """The group's primary and secondary key and the device's own; what is not given is empty."""
    if (wishes["group_key"] is None) == (wishes["device_key"] is None):
        raise UsageError("name either a --group-key or a --device-key")
    names = ("group_key", "secondary_group_key", "device_key")
    group, second, own = (
        key(wishes[name], f"the {name.replace('_', ' ')}") if wishes[name] else ""
        for name in names
    )
    if second and own:
        raise UsageError("a secondary group key goes with a group key, not with a device key")
    return group, second, own


def _document(wishes: dict[str, Any]) -> dict[str, Any]:
    """The identity, so far as it does not depend on the board."""
    document: dict[str, Any] = {"version": 1, "id_scope": wishes["id_scope"]}
    given = {
        "endpoint": wishes["endpoint"],
        "port": wishes["mqtt_port"],
        "https_port": wishes["https_port"],
        "ntp": list(wishes["ntp"]) or None,
        "ethernet": _ethernet(wishes["ethernet"]),
        "led": _led(wishes["led"]),
        "model_id": wishes["model_id"],
        "payload": _payload(wishes["payload"]),
        "roots_key": wishes["roots_key"] and modulus_b64(public_key_from(wishes["roots_key"])),
        "wifi": [_network(text) for text in wishes["wifi"]] or None,
    }
    document |= {name: value for name, value in given.items() if value is not None}
    if wishes["ifconfig"]:
        _addressed(document)["ifconfig"] = wishes["ifconfig"].split(",")
    return document


def _addressed(document: dict[str, Any]) -> dict[str, Any]:
    """What a static address is for. Raise UsageError if that is not one thing."""
    networks = [document["ethernet"]] if "ethernet" in document else document.get("wifi", [])
    if len(networks) != 1:
        raise UsageError("--ifconfig is for Ethernet, or for one Wi-Fi network")
    found: dict[str, Any] = networks[0]
    return found


def _ethernet(text: str | None) -> dict[str, Any] | None:
    try:
        pairs = (pair.split("=") for pair in text.split(",")) if text else ()
        return {name: int(pin) for name, pin in pairs} or None
    except ValueError:
        raise UsageError("--ethernet must be NAME=NUMBER,...: see --help") from None


def _led(text: str | None) -> int | str | None:
    pin = (text or "").removeprefix("~")
    if not pin.isdecimal():
        return text
    return int(pin) if pin == text else ~int(pin)


def _payload(text: str | None) -> Any:
    try:
        return None if text is None else json.loads(text)
    except (ValueError, RecursionError):
        raise UsageError("--payload is not JSON") from None


def _network(text: str) -> dict[str, str]:
    ssid, equals, source = text.rpartition("=") if "=" in text else (text, "", "")
    if not equals:
        return {"ssid": ssid}
    return {"ssid": ssid, "password": secret(source, f"the password of {ssid}")}


def _with_app(files: list[StagedFile], app: Path | None) -> list[StagedFile]:
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
