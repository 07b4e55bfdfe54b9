"""What a hub can be told: limits that Azure lets one choose, and what its documents leave open.

Values and their check; no I/O.
"""

from dataclasses import dataclass, field

from ...errors import UsageError

BACKLOGS = ("withheld", "delivered", "completed")
_CONNACKS = ("bad_user", "client_id", "wrong_key", "expired", "unknown", "disabled")


@dataclass(frozen=True)
class C2DRules:
    """Cloud-to-device messages, with Azure's defaults (`cloudToDevice` of a hub's properties)."""

    ttl_s: float = 3600.0
    max_delivery_count: int = 10
    feedback_ttl_s: float = 3600.0
    feedback_lock_s: float = 60.0


@dataclass(frozen=True)
class Connacks:
    """CONNACK's code for each reason to refuse a device.

    5 was observed for a wrong key, a token that has expired, and an unknown device; what 2, 3 and
    4 stand for at a hub is UNCERTAIN (protocol.md 6.7). wrong_key and expired: of a certificate
    as of a token.
    """

    bad_user: int = 5
    client_id: int = 2
    wrong_key: int = 5
    expired: int = 5
    unknown: int = 5
    disabled: int = 5


@dataclass(frozen=True)
class HubRules:
    """How a hub behaves.

    backlog: what becomes of messages that were queued before the device first subscribed in its
    session: withheld (they stay queued, as Azure's documents read: a device "receives messages
    that were sent to it after the time of the subscription"), delivered, or completed (they leave
    the queue unsent, as Microsoft's open protocol gateway did it).
    raw_properties: a / or = in a property of telemetry that is not percent-encoded: close the
    connection (observed, azure-iot-sdk-c#1695), or take it as it is.
    session_present: whether CONNACK says so when a session of CleanSession 0 goes on (observed).
    twin_requests_per_s: of all devices together, beyond it 429; None: no limit.
    thumbprint_times: whether a certificate that is known by its thumbprint must be in its validity
    (Azure/iotedge#621 says so of a hub).
    ends_with_certificate: whether a connection ends when its device's certificate expires; no
    document says so (MicrosoftDocs/azure-docs#66723), and a hub judges at CONNECT.
    """

    connacks: Connacks = field(default_factory=Connacks)
    c2d: C2DRules = field(default_factory=C2DRules)
    backlog: str = "withheld"
    raw_properties: str = "close"
    session_present: bool = True
    twin_requests_per_s: int | None = None
    thumbprint_times: bool = True
    ends_with_certificate: bool = False

    def check(self) -> None:
        """Raise UsageError naming the first rule that cannot be."""
        if not all(1 <= getattr(self.connacks, name) <= 5 for name in _CONNACKS):
            raise UsageError("a CONNACK's code of refusal is from 1 to 5")
        if self.backlog not in BACKLOGS:
            raise UsageError(f"a backlog is {', '.join(BACKLOGS)}")
        if self.raw_properties not in ("close", "take"):
            raise UsageError("raw_properties is close or take")
        c2d = self.c2d
        # The ranges are Azure's (iot-hub-devguide-messages-c2d), but for times shorter than hers.
        if not all(0 < s <= 172_800 for s in (c2d.ttl_s, c2d.feedback_ttl_s)):
            raise UsageError("a message lives for two days at most")
        if not 1 <= c2d.max_delivery_count <= 100:
            raise UsageError("a message is delivered from 1 to 100 times")
        if not 0 < c2d.feedback_lock_s <= 300:
            raise UsageError("feedback is locked for 300 seconds at most")
        if self.twin_requests_per_s is not None and self.twin_requests_per_s < 1:
            raise UsageError("twin requests a second are 1 at least, or not limited")
