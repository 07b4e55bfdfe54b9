"""What an identity is made of, as options: those that a whole batch has in common.

Puts the document together, without its name and its key; what is wrong in it, inject.py's check
says. Passwords are named by where they are kept.
"""

import json
from collections.abc import Mapping
from functools import reduce
from pathlib import Path
from typing import Any

import click

from ..errors import UsageError
from ..rootbundle import modulus_b64
from ..roots import azure_roots, roots_from
from .options import Decorate, secret
from .roots import public_key_from, roots_key_option


def _options(required: bool) -> list[Decorate]:
    return [
        click.option("--id-scope", required=required, help="The DPS instance's ID scope, 0ne..."),
        click.option(
            "--wifi",
            multiple=True,
            metavar="SSID[=SOURCE]",
            help="A network, and where its password is kept; may be repeated.",
        ),
        click.option("--endpoint", help="DPS's host, if not Azure's global one."),
        click.option("--mqtt-port", type=int, help="Its port and the hub's, if not 8883."),
        click.option(
            "--https-port", type=int, help="DPS's HTTPS port, asked for the time, if not 443."
        ),
        click.option(
            "--ntp",
            multiple=True,
            help="A time server, HOST or HOST:PORT, if not pool.ntp.org; may be repeated.",
        ),
        click.option(
            "--ethernet",
            metavar="PINS",
            help="A W5500 instead of Wi-Fi: spi=1,sck=12,mosi=11,miso=13,cs=10,int=4,reset=9.",
        ),
        click.option(
            "--ifconfig",
            metavar="ADDRESS,MASK,GATEWAY,DNS",
            help="A static address, on Ethernet or on the one Wi-Fi network.",
        ),
        click.option(
            "--led", help="The pin of a status LED: 2, LED; ~2 if a low level lights it."
        ),
        click.option("--payload", metavar="JSON", help="An object for custom allocation."),
        click.option("--model-id", help="The device's IoT Plug and Play model, dtmi:..."),
        root_option,
        roots_key_option(False, "boards without one keep the roots they are given now"),
    ]


root_option: Decorate = click.option(
    "--root",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Trust this root certificate (PEM) instead of Azure's: a local Azure's.",
)


def identity_options(verb: Any) -> Any:
    """The options of an identity, --id-scope required, and --root with them."""
    return _decorated(verb, required=True)


def optional_identity_options(verb: Any) -> Any:
    """The same for a verb that makes an identity only if it is asked to."""
    return _decorated(verb, required=False)


def _decorated(verb: Any, required: bool) -> Any:
    return reduce(lambda done, option: option(done), reversed(_options(required)), verb)


def roots_from_wishes(wishes: Mapping[str, Any]) -> dict[str, bytes]:
    """The roots that a board is to trust, name to DER: Azure's, or the one of --root."""
    return roots_from(wishes["root"]) if wishes["root"] else azure_roots()


def document_from(wishes: Mapping[str, Any]) -> dict[str, Any]:
    """The identity, so far as it does not depend on the board. Raise UsageError."""
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
    named = text.partition("=")[0]  # what follows may be of a password, by mistake
    return {"ssid": ssid, "password": secret(source, f"the password of {named}")}
