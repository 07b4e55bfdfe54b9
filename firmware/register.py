"""The phase that finds the hub: registers at DPS and keeps the assignment. Loaded for that alone.

Never forgets the hub that was kept before it has another. An operation that a reset interrupts is
taken up again: its id is kept as soon as DPS has given it.
"""

from aziot import dps, record
from aziot._const import const
from aziot.errors import ServiceError
from aziot.provision import provision

TYPE_CHECKING = const(0)
if TYPE_CHECKING:
    from device import Device

_LIMIT_MS = const(300000)  # protocol.md 3.2
_OPERATION = const("operation")


def run(device: "Device") -> str:
    """Register, and leave the assignment in device.kept and in the board's store."""
    csr: str | None = None
    if device.proof and device.proof["asks"]:
        csr = device.call("renew", "csr", device)
    try:
        found = _registered(device, csr)
    except ServiceError as e:
        if not csr or e.transient or e.status == 401:
            raise
        device.call("renew", "asked", device)
        device.say("cert", "none is issued: %s" % e)
        csr = None
        found = _registered(device, None)
    if csr:
        device.call("renew", "take", device, found[4])
    return "assigned"


def _registered(device: "Device", csr: "str | None") -> tuple:
    """Register once, asking for a certificate or not; return what DPS assigned."""
    me, board = device.me, device.board
    name = me["registration_id"]
    device.say("dps", "registering %s at %s" % (name, me["endpoint"]))
    link = device.connect(
        me["endpoint"],
        name,
        dps.username(me["id_scope"], name, csr),
        dps.resource(me["id_scope"], name),
        dps.POLICY,
    )
    if csr:
        device.call("renew", "asked", device)
    kept = record.unpack(board.load(_OPERATION)) or {}
    device.operation_id = kept.get("id") if kept.get("whose") == me["whose"] else None
    registration = dps.Registration(name, me["payload"], device.operation_id, csr)

    def told(step: str, text: str) -> None:
        device.progress()
        _keep(device, registration.operation_id)
        device.say(step, text)

    try:
        found = provision(link, registration, device.clock, _LIMIT_MS, board.jitter(), told)
        device.kept = {"whose": me["whose"], "hub": found[0], "device_id": found[1]}
        device.kept["reprovision"] = device.asked
        device.wish = None
        device.say("dps", "assigned to %s as %s" % found[:2])
        _save(device, "assignment", device.kept)
    finally:
        _keep(device, registration.operation_id)
    return found


def _keep(device: "Device", operation_id: str | None) -> None:
    """Keep the id of an operation that goes on, forget that of one that has ended."""
    if operation_id != device.operation_id:
        device.operation_id = operation_id
        _save(device, _OPERATION, {"whose": device.me["whose"], "id": operation_id})


def _save(device: "Device", name: str, value: dict) -> None:
    try:
        device.board.save(name, record.pack(value))
    except OSError as e:  # a worn or full flash: the next boot asks DPS again, this one goes on
        device.say("dps", "the %s is not kept: %s" % (name, e))
