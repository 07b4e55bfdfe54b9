"""The phase that finds the hub: registers at DPS and keeps the assignment. Loaded for that alone.

Never forgets the hub that was kept before it has another.
"""

from aziot import dps
from aziot._const import const
from aziot.provision import provision
from device import let_go

TYPE_CHECKING = const(0)
if TYPE_CHECKING:
    from device import Device

_LIMIT_MS = const(300000)  # protocol.md 3.2


def run(device: "Device") -> None:
    """Register, and leave the assignment in device.kept and in the board's store."""
    me, board = device.me, device.board
    name = me["registration_id"]
    device.say("dps", "registering %s at %s" % (name, me["endpoint"]))
    link = device.connect(
        me["endpoint"],
        name,
        dps.username(me["id_scope"], name),
        dps.resource(me["id_scope"], name),
        dps.POLICY,
    )
    registration = dps.Registration(name, me["payload"], device.operation_id)
    try:
        found = provision(link, registration, board.clock, _LIMIT_MS, board.jitter(), device.say)
    finally:
        device.operation_id = registration.operation_id
        let_go("aziot.provision", "aziot.dps")
    from aziot import record  # only now: dps.py's memory is free again

    device.operation_id = None
    device.kept = {"whose": me["whose"], "hub": found[0], "device_id": found[1]}
    device.plan.assigned()
    device.say("dps", "assigned to %s as %s" % (found[0], found[1]))
    try:
        board.save("assignment", record.pack(device.kept))
    except OSError as e:  # a worn or full flash: the next boot asks DPS again, this one goes on
        device.say("dps", "the assignment is not kept: %s" % e)
    let_go("aziot.record")
