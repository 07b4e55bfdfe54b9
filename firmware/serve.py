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
    import app

    if device.session is None:
        device.session = Session(app.sample, app.INTERVAL_S * 1000, device.board.clock)
    name, device_id = device.kept["hub"], device.kept["device_id"]
    link = device.connect(
        name,
        device_id,
        hub.username(name, device_id, device.me["model_id"]),
        hub.resource(name, device_id),
    )
    try:
        device.plan.connected()
        device.say("hub", "connected to " + name)
        device.session.serve(link, device_id, _RENEW_MS, device.say)
        device.say("hub", "renewing the token")
    finally:
        link.disconnect()
