"""What a local Azure can be told before it starts.

Values and their check; no I/O.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import UsageError

DPS_NAME = "global.azure-devices-provisioning.net"

_ID_SCOPE = re.compile(r"0ne[0-9A-Fa-f]{8}")
_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"(?=.{{1,253}}\Z){_LABEL}(\.{_LABEL})*")
_LOOPBACK = re.compile(r"localhost|127(\.(25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])){3}")


@dataclass(frozen=True)
class Settings:
    """How a local Azure is laid out and behaves. A port of 0 means any free one.

    host: the loopback address to bind; id_scope: made at random if None; hubs: host names, which
    devices are assigned to and connect to; folder: where root.pem and connection-string.txt are
    written, or None for a temporary one; auth_at: register (as Azure) or connect (protocol.md
    2.7); max_connections: fewer if the system does not let us open so many files.
    """

    host: str = "127.0.0.1"
    mqtt_port: int = 8883
    https_port: int = 8443
    sntp_port: int = 0
    id_scope: str | None = None
    hubs: tuple[str, ...] = ("localhost",)
    polls_before_assigned: int = 1
    retry_after_s: int = 3
    registrations_per_minute: int | None = 1000
    auth_at: str = "register"
    wrong_key_code: int = 401000
    expired_code: int = 401002
    folder: Path | None = None
    connect_timeout_s: float = 10.0
    packet_timeout_s: float = 30.0
    max_connections: int = 20_000
    names: tuple[str, ...] = field(default=())

    def check(self) -> None:
        """Raise UsageError naming the first setting that cannot be."""
        for name in ("mqtt_port", "https_port", "sntp_port"):
            if not 0 <= getattr(self, name) <= 65535:
                raise UsageError(f"{name.replace('_', ' ')} must be from 0 to 65535")
        if self.id_scope is not None and not _ID_SCOPE.fullmatch(self.id_scope):
            raise UsageError("an id scope is 0ne and eight hexadecimal digits, as 0ne00111111")
        self._check_names()
        if self.auth_at not in ("register", "connect"):
            raise UsageError("credentials are checked at register or at connect")
        if not 0 <= self.polls_before_assigned <= 1000:
            raise UsageError("polls before an assignment must be from 0 to 1000")
        if not 0 <= self.retry_after_s <= 3600:
            raise UsageError("retry-after must be from 0 to 3600 seconds")
        if min(self.connect_timeout_s, self.packet_timeout_s, self.max_connections) <= 0:
            raise UsageError("the bounds on connections must be above 0")

    def _check_names(self) -> None:
        if not _LOOPBACK.fullmatch(self.host):
            raise UsageError(
                f"the host {self.host!r} is not a loopback address, as 127.0.0.1: telemetry is "
                "shown without a token, so nobody but this machine may ask"
            )
        if not self.hubs or len(set(self.hubs)) != len(self.hubs) or len(self.hubs) > 50:
            raise UsageError("there must be from 1 to 50 hubs, each named once")
        for name in (*self.hubs, *self.names):
            if not _HOST.fullmatch(name):
                raise UsageError(f"{name!r} is not a host name in lower case")

    def certificate_names(self) -> tuple[str, ...]:
        """Every name the server's certificate is for; names: more than the hubs and DPS's own."""
        usual = ("localhost", "127.0.0.1", self.host, DPS_NAME)
        return tuple(dict.fromkeys(usual + self.hubs + self.names))
