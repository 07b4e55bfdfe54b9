"""The way onto a wired network, for boards with a W5500: wifi.py's other half. Loaded, and let go.

Never makes the interface twice: on an ESP32 a second SPI object takes the bus from the driver
(micropython#16732), and what a failed LAN() leaves behind lasts until a reset (#19457).
"""

import errno

import network

from aziot._const import const

TYPE_CHECKING = const(0)
if TYPE_CHECKING:
    from typing import Any

    from device import Device

_LOOK_MS = const(100)
_LOOKS = const(200)  # 20 s for the link and the address
_BAUD = const(20000000)  # as ports/rp2/boards/W5500_EVB_PICO; an ESP32's driver has its own


def run(device: "Device") -> None:
    """Get the board onto the network of its W5500, and say as whom. Raises OSError.

    device.nic: None before the first try, False after one that failed; then only a reset helps.
    device.board.machine: the module, for its Pin and SPI.
    """
    settings, restart = device.me["ethernet"], device.plan["radio"]
    if not device.nic:
        if device.nic is False and restart:
            device.call("leave", "reset", device, "no W5500")
        device.nic = False
        device.nic = _made(device.board.machine, settings)
    nic = device.nic
    if restart:
        nic.active(False)
    nic.active(True)
    if "ifconfig" in settings:
        nic.ifconfig(tuple(settings["ifconfig"]))
    for _ in range(_LOOKS):
        address = nic.ifconfig()[0]
        if nic.isconnected() and address != "0.0.0.0":  # noqa: S104  it means: none
            device.say("ethernet", "on the network as " + address)
            return
        device.clock.sleep_ms(_LOOK_MS)
    raise OSError(errno.EHOSTUNREACH, "no link, or no address (status %d)" % nic.status())


def _made(machine: "Any", pins: dict) -> "Any":
    """Return the driver: WIZNET5K on an RP2 (docs: network.WIZNET5K), else LAN (network_lan.c)."""
    has: Any = network  # the stubs know nothing of a W5500
    try:
        pin = {name: machine.Pin(pins[name]) for name in pins if name not in ("spi", "ifconfig")}
        bus = machine.SPI(pins["spi"], _BAUD, sck=pin["sck"], mosi=pin["mosi"], miso=pin["miso"])
        if hasattr(has, "WIZNET5K"):
            return has.WIZNET5K(bus, pin["cs"], pin["reset"])
        return has.LAN(
            phy_type=has.PHY_W5500,
            phy_addr=0,
            spi=bus,
            cs=pin["cs"],
            int=pin.get("int"),
            reset=pin.get("reset"),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as e:  # no driver, or no such pin
        raise OSError(errno.ENODEV, "no W5500: %r" % e)
