"""`firstlight enroll`: enrollments in DPS, at Azure or at a local one.

Keys go into a file for their owner alone, or stay at the service; never onto the screen.
"""

import json
from pathlib import Path
from typing import Any

import click

from .. import attesting, keys
from ..azure import POLICY, Service
from ..azurecalls import Json
from ..custody import write_private
from ..errors import UsageError
from .enrollaccess import KINDS, disable, enable, revoke
from .enrollbatch import batch
from .enrolllist import listed
from .options import key, source_option
from .service import certificate_option, service, service_options


@click.group()
def enroll() -> None:
    """Create, read and disable enrollments through the DPS service API.

    \b
    The connection string is the DPS instance's, with the rights to write enrollments; a local
    Azure writes its own to connection-string.txt. It is named by where it is kept:
      firstlight enroll group line-1 --connection file:connection-string.txt --root root.pem
    """


for _verb in (batch, disable, enable, listed, revoke):
    enroll.add_command(_verb)


def _creating(verb: Any) -> Any:
    for option in (
        click.option(
            "--key-out",
            type=click.Path(path_type=Path),
            help="Write the primary key here, readable by you alone.",
        ),
        click.option("--disabled", is_flag=True, help="Enroll, but let nobody in yet."),
        click.option("--hub", "hubs", multiple=True, help="Assign to this hub; may be repeated."),
        click.option(
            "--credential-policy",
            metavar="NAME",
            help="Have DPS issue certificates by this policy to devices that ask (a preview).",
        ),
        source_option("--secondary-key", "the secondary key"),
        source_option("--primary-key", "the primary key; without, the service makes both"),
    ):
        verb = option(verb)
    return service_options(verb)


@enroll.command()
@click.argument("name")
@certificate_option("--ca-certificate", "The CA that signs its devices, or one above it")
@certificate_option("--secondary-ca-certificate", "Its successor's, beside it")
@click.option("--ca-name", help="Instead, a CA that the DPS instance has and has verified.")
@click.option("--secondary-ca-name", help="Its successor, beside it.")
@_creating
def group(name: str, connection: str, root: Path | None, **wishes: Any) -> None:
    """Create the enrollment group NAME, its devices' keys derived from its own.

    With a CA's certificate its devices prove themselves by certificates that this CA signed, and
    there is no key. The chain that a device sends must lead up to a CA that the DPS instance has
    and has verified by proof of possession.

    \b
    Examples:
      firstlight enroll group line-1 --connection env:DPS_CONNECTION --key-out group.key
      firstlight enroll group line-2 --connection file:dps.txt --ca-certificate batch.pem
    """
    document = {"enrollmentGroupId": name} | _wanted(wishes, _by_ca(wishes))
    _create(service(connection, root), "group", name, document, wishes["key_out"])


@enroll.command()
@click.argument("registration_id")
@click.option("--device-id", help="The device's name at its hub, if not the registration id.")
@certificate_option("--certificate", "Its leaf, whose common name must be the registration id")
@certificate_option("--secondary-certificate", "Its successor's, beside it")
@_creating
def device(
    registration_id: str, device_id: str | None, connection: str, root: Path | None, **wishes: Any
) -> None:
    """Create the individual enrollment of one device, by its key or by its certificate.

    \b
    Examples:
      firstlight enroll device esp32-a1b2c3 --connection file:dps.txt --key-out device.key
      firstlight enroll device esp32-a1b2c3 --connection file:dps.txt --certificate leaf.pem
    """
    name = keys.registration_id(registration_id)
    document = {"registrationId": name} | _wanted(wishes, _by_leaf(name, wishes))
    if device_id is not None:
        document["deviceId"] = device_id
    _create(service(connection, root), "device", name, document, wishes["key_out"])


@enroll.command()
@click.argument("kind", type=click.Choice(sorted(KINDS)))
@click.argument("name")
@service_options
def show(kind: str, name: str, connection: str, root: Path | None) -> None:
    """Print an enrollment as JSON, without its keys; of a certificate its facts.

    \b
    Example:
      firstlight enroll show group line-1 --connection file:dps.txt
    """
    found = service(connection, root).find(KINDS[kind], name)
    if found is None:
        raise UsageError(f"there is no {kind} enrolled as {name}")
    attestation = found.get("attestation")
    if isinstance(attestation, dict):
        attestation.pop("symmetricKey", None)
    click.echo(json.dumps(found, indent=2, sort_keys=True))


@enroll.command("key")
@click.argument("kind", type=click.Choice(sorted(KINDS)))
@click.argument("name")
@click.option(
    "--key-out", type=click.Path(path_type=Path), required=True, help="A new file, for you alone."
)
@service_options
def fetch(kind: str, name: str, key_out: Path, connection: str, root: Path | None) -> None:
    """Write the primary key of an enrollment into a file; one by certificate has none.

    \b
    Example:
      firstlight enroll key group line-1 --connection file:dps.txt --key-out group.key
    """
    at = service(connection, root)
    found = at.find(KINDS[kind], name)
    if found is None:
        raise UsageError(f"there is no {kind} enrolled as {name}")
    _check_keys(found.get("attestation"), name)
    write_private(key_out, "")
    _fetch(at, kind, name, key_out)


def _wanted(wishes: dict[str, Any], certificates: Json | None) -> Json:
    """The part of an enrollment that groups and devices have alike (protocol.md 7)."""
    if certificates is not None and any(
        wishes[name] is not None for name in ("primary_key", "secondary_key", "key_out")
    ):
        raise UsageError("an enrollment is by keys or by certificates: name options of one kind")
    document: Json = {
        "attestation": certificates or _by_keys(wishes),
        "provisioningStatus": "disabled" if wishes["disabled"] else "enabled",
    }
    if wishes["hubs"]:
        document["iotHubs"] = list(wishes["hubs"])
    if wishes["credential_policy"] is not None:
        document[POLICY] = wishes["credential_policy"]
    return document


def _by_keys(wishes: dict[str, Any]) -> Json:
    attestation: Json = {"type": "symmetricKey"}
    given = (wishes["primary_key"], wishes["secondary_key"])
    if given != (None, None):
        if None in given:
            raise UsageError("give both keys, or none: then the service makes them")
        attestation["symmetricKey"] = {
            "primaryKey": key(given[0], "the primary key"),
            "secondaryKey": key(given[1], "the secondary key"),
        }
    return attestation


def _by_ca(wishes: dict[str, Any]) -> Json | None:
    by_file, by_name = (
        (wishes[name], wishes[f"secondary_{name}"]) for name in ("ca_certificate", "ca_name")
    )
    if any(by_file) and by_name != (None, None):
        raise UsageError("name the CA by its certificate's file, or by its name, not by both")
    for first, second, flag in ((*by_file, "--ca-certificate"), (*by_name, "--ca-name")):
        if second is not None and first is None:
            raise UsageError(f"a secondary CA goes beside a first one: {flag}")
    if by_file[0]:
        return attesting.of_group(*by_file)
    return None if by_name[0] is None else attesting.of_reference(*by_name)


def _by_leaf(name: str, wishes: dict[str, Any]) -> Json | None:
    first, second = wishes["certificate"], wishes["secondary_certificate"]
    if second and not first:
        raise UsageError("a secondary certificate goes beside a first one: --certificate")
    return attesting.of_device(name, first, second) if first else None


def _check_keys(attestation: Any, name: str) -> None:
    """Raise UsageError if an enrollment cannot have keys."""
    kind = attestation.get("type") if isinstance(attestation, dict) else None
    if kind == "x509":
        raise UsageError(
            f"{name} is enrolled by certificate, so DPS has no key of it to give: the private key "
            "is the device's alone"
        )


def _create(
    at: Service, kind: str, name: str, document: dict[str, Any], key_out: Path | None
) -> None:
    if key_out is not None:
        write_private(key_out, "")  # before anything is enrolled: a key must have where to go
    try:
        at.create(KINDS[kind], name, document)
    except BaseException:
        if key_out is not None:
            key_out.unlink()
        raise
    click.echo(f"enrolled {kind} {name}")
    if key_out is not None:
        _fetch(at, kind, name, key_out)


def _fetch(at: Service, kind: str, name: str, key_out: Path) -> None:
    """Fill the private file key_out, which is there and empty, with the primary key."""
    try:
        key_out.write_text(at.key_pair(KINDS[kind], name)[0] + "\n", "ascii")
    except BaseException:
        key_out.unlink()
        click.echo(f"its key is not here yet: firstlight enroll key {kind} {name}", err=True)
        raise
    click.echo(f"its primary key is in {key_out}, for you alone to read")
