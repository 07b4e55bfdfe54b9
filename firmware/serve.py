"""The phase that a board spends its life in: its hub's session. Loaded for that alone.

Never outlives its token: it returns in time for a fresh one, with nothing in flight. Without one,
with an X.509 identity, it returns after a day.
"""

from aziot import hub
from aziot._const import const
from aziot.link import Link
from aziot.stream import Deadline

TYPE_CHECKING = const(0)
if TYPE_CHECKING:
    from aziot.session import Session
    from device import Device

_RENEW_MS = const(2880000)  # a token of 3600 s at 80 % of its life, as azure-iot-sdk-c does
_LEAVE_MS = const(15000)  # for what is in flight, when it is time to leave
_TURN_MS = const(1000)


def run(device: "Device") -> str:
    """Serve the hub that is kept; return why to stop: "renew", "reprovision" or "sleep"."""
    name, device_id = device.kept["hub"], device.kept["device_id"]
    link = device.connect(
        name,
        device_id,
        hub.username(name, device_id, device.me["model_id"]),
        hub.resource(name, device_id),
    )
    try:
        from aziot.session import Session  # only now: opening a connection takes memory, too

        session = Session(
            link, device_id, device.outbox, device.reports, device.work, device.clock
        )
        device.say("hub", "connected to " + name)
        session.begin()
        return _converse(device, session, link)
    finally:
        link.disconnect()


def _converse(device: "Device", session: "Session", link: Link) -> str:
    """Talk until there is a reason to leave, and then until nothing is in flight, or too long."""
    until = Deadline(device.clock, _RENEW_MS * (30 if device.proof else 1))  # a day
    leaving: Deadline | None = None
    heard = dropped = 0
    while True:
        acked = session.acked
        session.poll(min(device.work.measured(), _TURN_MS))
        device.work.tick()
        if link.answers != heard:
            heard = link.answers
            device.progress()
        if session.acked != acked:
            _acknowledged(device, session.acked)
        if device.outbox.dropped != dropped:
            dropped = device.outbox.dropped
            device.report("dropped", dropped)
        device.wish = device.wish or _reason(device, session, until)
        if device.wish:
            leaving = leaving or Deadline(device.clock, _LEAVE_MS)
            if session.idle() or not leaving.left_ms():
                wish, device.wish = device.wish, None
                return wish


def _reason(device: "Device", session: "Session", until: Deadline) -> str | None:
    if not until.left_ms():
        device.asked = device.kept.get("reprovision")  # what DPS did not grant is asked again
        return "renew"
    if device.work.sleeps and not len(device.outbox):
        return "sleep"
    if session.refused:
        device.say("hub", "a report was refused: %d" % session.refused)
        session.refused = 0
    return None


def _acknowledged(device: "Device", count: int) -> None:
    """Take note that the hub acknowledged something: to be let in is not enough."""
    device.say("hub", "acknowledged %d, waiting %d" % (count, len(device.outbox)))
    device.sent += 1
    device.error = ""
    if not device.served:
        device.served = True
        if device.on_trial or device.old_roots:
            device.call("trust", "reached", device)
        if device.proof and (device.proof["trial"] or device.proof["turn"]):
            device.call("verdict", "reached", device)
        device.tell()
