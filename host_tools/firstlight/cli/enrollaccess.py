"""`firstlight enroll disable`, `enable` and `revoke`: who may register, and who no longer.

Says what it does not do, too: a hub lets a device in until its own registry says no.
"""

from pathlib import Path
from typing import Any

import click

from .. import access, attesting, azure, keys
from ..azure import Kind
from ..azurecalls import Json
from ..azurehub import Registry
from ..errors import UsageError
from . import options
from .options import group_key_option, secret, source_option
from .service import certificate_option, service, service_options

KINDS: dict[str, Kind] = {"group": "enrollmentGroups", "device": "enrollments"}
_HUB_TOO = (
    "lets it in until it is disabled there: name the hub's own connection string, "
    "--hub-connection; the board keeps its hub until that refuses it"
)


def _hub_option(verb: Any) -> Any:
    return source_option("--hub-connection", "the hub's own connection string, to change its "
                         "registry as well")(verb)  # fmt: skip


@click.command()
@click.argument("kind", type=click.Choice(sorted(KINDS)))
@click.argument("name")
@_hub_option
@service_options
def disable(
    kind: str, name: str, hub_connection: str | None, connection: str, root: Path | None
) -> None:
    """Let no device of the enrollment NAME register; it stays enrolled.

    A group is disabled for all its devices; one unit of it: firstlight enroll revoke.

    \b
    Example:
      firstlight enroll disable group line-1 --connection file:dps.txt
    """
    _switch(kind, name, False, hub_connection, (connection, root))


@click.command()
@click.argument("kind", type=click.Choice(sorted(KINDS)))
@click.argument("name")
@_hub_option
@service_options
def enable(
    kind: str, name: str, hub_connection: str | None, connection: str, root: Path | None
) -> None:
    """Let the devices of the enrollment NAME register again.

    A unit that was revoked from its group is a device here: it is let into its group again.

    \b
    Example:
      firstlight enroll enable device esp32-a1b2c3 --connection file:dps.txt
    """
    _switch(kind, name, True, hub_connection, (connection, root))


@click.command()
@click.argument("unit")
@click.option("--delete", is_flag=True, help="Delete its own enrollment, instead of disabling it.")
@group_key_option("--group-key", "its group's key: DPS then tells it that it is disabled, not 401")
@certificate_option("--certificate", "Its leaf, for a group by certificates, to the same end")
@_hub_option
@service_options
def revoke(
    unit: str,
    delete: bool,
    group_key: str | None,
    certificate: Path | None,
    hub_connection: str | None,
    connection: str,
    root: Path | None,
) -> None:
    """Keep one UNIT, by its registration id, from ever registering again.

    A unit that is enrolled for itself is disabled. One of a group is kept out of it by a disabled
    enrollment of its own, which must stay, and its registration record is deleted; the others of
    the group are let in as before.

    DPS looks for that enrollment by the registration id alone, so it keeps out a unit whose
    certificate nobody has at hand, too: by a key that is made for it and is nobody's. It holds
    for every certificate of that name: the factory's, and any that DPS issued since.

    \b
    Examples:
      firstlight enroll revoke esp32-a1b2c3 --connection file:dps.txt --hub-connection file:hub.txt
      firstlight enroll revoke esp32-a1b2c3 --connection file:dps.txt --certificate leaf.pem
    """
    name = keys.registration_id(unit)
    if delete and (group_key or certificate):
        raise UsageError(
            "--group-key and --certificate are for a unit of a group: it has nothing to --delete"
        )
    if group_key and certificate:
        raise UsageError("its group is by keys or by certificates: name one of the two")
    own = _own(name, group_key, certificate)
    at, hub = service(connection, root), _registry(hub_connection, root)
    if delete:
        _delete(at, name, hub)
    else:
        _tell(access.revoke(at, name, own), hub, False)


def _own(name: str, group_key: str | None, certificate: Path | None) -> Json:
    """What a unit's own enrollment knows it by; a fresh key, which is nobody's, if by nothing."""
    if certificate is not None:
        return attesting.of_device(name, certificate, None, expired=True)
    key_b64 = options.group_key(group_key, "the group key").derive(name) if group_key else ""
    return azure.symmetric(key_b64)


def _delete(at: azure.Service, name: str, hub: Registry | None) -> None:
    """Delete a unit, at its hub first: an enrollment that is gone says no more where it was."""
    if hub is not None:
        _at_hub(access.removable(at, name), hub, False)
    change = access.remove(at, name)
    click.echo(change.told)
    if hub is None:
        _warn(change)


def _switch(
    kind: str, name: str, enabled: bool, hub_connection: str | None, at: tuple[str, Path | None]
) -> None:
    if hub_connection and kind == "group":
        raise UsageError("--hub-connection is for one device: a group's are many in the hub")
    hub = _registry(hub_connection, at[1])
    change = access.switch(service(*at), KINDS[kind], name, enabled)
    if kind == "group":
        click.echo(change.told)
        if not enabled:
            click.echo("devices that it let in before stay in their hubs, and are let in there")
        return
    _tell(change, hub, enabled)


def _registry(source: str | None, root: Path | None) -> Registry | None:
    if source is None:
        return None
    text = secret(source, "the hub's connection string")
    return Registry(azure.parse_connection(text, "hub"), root)


def _tell(change: access.Change, hub: Registry | None, enabled: bool) -> None:
    click.echo(change.told)
    if hub is not None:
        _at_hub(change, hub, enabled)
    elif not enabled:
        _warn(change)


def _warn(change: access.Change) -> None:
    known = f"it is assigned to {change.hub}: the hub still knows it, and"
    click.echo(f"{known if change.hub else 'a hub that knows it'} {_HUB_TOO}")


def _at_hub(change: access.Change, hub: Registry, enabled: bool) -> None:
    if change.hub and change.hub.lower() != hub.host.lower():
        raise UsageError(
            f"it is assigned to {change.hub}, and the connection string is {hub.host}'s: "
            "name that hub's, and repeat"
        )
    status = "enabled" if enabled else "disabled"
    done = hub.switch(change.device_id, enabled)
    words = {None: f"{hub.host} has no device {change.device_id}", False: f"{status} already"}
    click.echo(words.get(done, f"{status} in the registry of {hub.host} as {change.device_id}"))
