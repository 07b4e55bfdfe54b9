"""The phase that a board spends its life in: its hub's session. Loaded for that alone.

Never outlives its token: it returns in time for a fresh one.
"""

from aziot import hub
from aziot._const import const
from aziot.session import Session

TYPE_CHECKING = const(0)
if TYPE_CHECKING:
    from device import Device

_RENEW_MS = const(2880000)  # a token of 3600 s at 80 % of its life, as azure-iot-sdk-c does


def run(device: "Device") -> None:
    """Connect to the hub that is kept, and serve it until the token wants renewal."""
    if device.session is None:
        device.session = _begun(device)
    name, device_id = device.kept["hub"], device.kept["device_id"]
    link = device.connect(
        name,
        device_id,
        hub.username(name, device_id, device.me["model_id"]),
        hub.resource(name, device_id),
    )
    try:
        device.say("hub", "connected to " + name)
        device.session.serve(link, device_id, _RENEW_MS, device.say, device.plan.connected)
        device.say("hub", "renewing the token")
    finally:
        link.disconnect()


def _begun(device: "Device") -> Session:
    """Return a session over app.py; if that is broken, over one that says so each minute."""
    try:
        import app

        return Session(app.sample, max(100, int(app.INTERVAL_S * 1000)), device.board.clock)
    except (Exception, SystemExit) as e:  # the user's file: its faults do not take the board down
        device.say("app", "app.py cannot be used: %r" % e)
        fault = e

    def sample() -> dict:
        raise fault

    return Session(sample, 60000, device.board.clock)
