"""Who may register: enrollments disabled and enabled again, and one unit kept out of its group.

A unit of a group has no enrollment to disable. Microsoft's way is an individual one of the same
registration id, disabled, which hides the group from that unit alone, whatever it attests by: DPS
looks for it by the id. For a unit by certificate it has the leaf, or, where nobody has that, keys
that do not matter (azure/iot-dps/how-to-revoke-device-access-portal, Disallow specific devices
from an X.509 enrollment group). It is marked, so that to enable the unit is to delete it.
Never touches a hub: who is assigned stays known there until its registry says otherwise.
"""

from dataclasses import dataclass

from .azure import Kind, Service, symmetric
from .azurecalls import Json, plain
from .errors import UsageError

_MARK = "keptOutOfItsGroup"


@dataclass(frozen=True)
class Change:
    """What was done, in words; hub and device_id: where the unit was assigned, "" if nowhere."""

    told: str
    hub: str = ""
    device_id: str = ""


def switch(service: Service, kind: Kind, name: str, enabled: bool) -> Change:
    """Let an enrollment's devices register, or not; raise UsageError if there is none."""
    found = service.find(kind, name)
    if found is None:
        hint = "; a unit of a group: firstlight enroll revoke" if kind == "enrollments" else ""
        raise UsageError(f"nothing is enrolled as {name}{hint}")
    mark = _mark(found)
    if enabled and mark is not None:
        service.delete(kind, name, found)
        return Change(
            f"{name} may register in its group again", plain(mark.get("hub") or ""), name
        )
    told = _switched(service, kind, name, found, enabled)
    record = service.registration(name) if kind == "enrollments" else None
    return Change(told, *_place(record, name))


def revoke(service: Service, unit: str, attestation: Json | None = None) -> Change:
    """Keep one unit from registering, whether it is enrolled for itself or in a group.

    attestation: by its own key or leaf, so that DPS tells it that it is disabled; None: by a key
    that is nobody's, and it is told 401.
    """
    found, record = service.find("enrollments", unit), service.registration(unit)
    hub, device_id = _place(record, unit)
    if found is None:
        barrier = _barrier(unit, attestation or symmetric(""), hub)
        service.create("enrollments", unit, barrier)
        told = f"{unit} is kept out of its group by a disabled enrollment of its own"
        told += "" if record else "; DPS knows no registration of it: is that its id?"
    else:
        hub = hub or plain((_mark(found) or {}).get("hub") or "")
        told = _switched(service, "enrollments", unit, found, False)
    if record is not None and (found is None or _mark(found) is not None):
        service.forget(unit, record)
        told += ", and its registration record is deleted"
    return Change(told, hub, device_id)


def removable(service: Service, unit: str) -> Change:
    """Where a unit is assigned that is to be deleted, which nothing says afterwards.

    Changes nothing; raise UsageError if to delete it would let it in.
    """
    _own(service, unit)
    return Change(f"{unit} has an enrollment", *_place(service.registration(unit), unit))


def remove(service: Service, unit: str) -> Change:
    """Delete a unit's own enrollment and its record; raise UsageError if that would let it in."""
    found, record = _own(service, unit), service.registration(unit)
    service.delete("enrollments", unit, found)
    if record is not None:
        service.forget(unit, record)
    return Change(f"the enrollment of {unit} is deleted", *_place(record, unit))


def _own(service: Service, unit: str) -> Json:
    """A unit's own enrollment, which no revocation made; else raise UsageError."""
    found = service.find("enrollments", unit)
    if found is None:
        raise UsageError(f"{unit} has no enrollment of its own to delete; revoke it without that")
    if _mark(found) is not None:
        raise UsageError(
            f"{unit} is kept out of its group by that enrollment: without it the group lets it in "
            "again; if that is what you want: firstlight enroll enable device"
        )
    return found


def _switched(service: Service, kind: Kind, name: str, found: Json, enabled: bool) -> str:
    status = "enabled" if enabled else "disabled"
    if found.get("provisioningStatus", "enabled") == status:
        return f"{name} is {status} already"
    service.replace(kind, name, found | {"provisioningStatus": status})
    return f"{name} is {status}"


def _barrier(unit: str, attestation: Json, hub: str) -> Json:
    return {
        "registrationId": unit,
        "attestation": attestation,
        "provisioningStatus": "disabled",
        "optionalDeviceInformation": {_MARK: {"hub": hub}},
    }


def _mark(found: Json) -> Json | None:
    """What revoke() noted in an enrollment that it made; None for any other."""
    information = found.get("optionalDeviceInformation")
    mark = information.get(_MARK) if isinstance(information, dict) else None
    return mark if isinstance(mark, dict) else None


def _place(record: Json | None, unit: str) -> tuple[str, str]:
    found = record or {}
    return plain(found.get("assignedHub") or ""), plain(found.get("deviceId") or unit)
