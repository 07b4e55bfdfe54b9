"""A hub's registry, as much as revoking needs: whether a device may connect.

Changes nothing but a device's status, under its etag; raises what azurecalls.py raises.
"""

from pathlib import Path
from urllib.parse import quote

from .azure import changed
from .azurecalls import Calls, Connection, object_of
from .errors import ServiceError

API_VERSION = "2021-04-12"


class Registry:
    """The registry of one hub. connection: of a policy that may write the registry."""

    def __init__(self, connection: Connection, root_pem: Path | None = None) -> None:
        self._calls = Calls(connection, root_pem, API_VERSION)
        self.host = connection.host.partition(":")[0]

    def switch(self, device_id: str, enabled: bool) -> bool | None:
        """Let a device connect, or not; the hub ends its connection.

        Return False if it was so already, None if the hub has no such device.
        """
        path = f"devices/{quote(device_id, safe='')}"
        try:
            found = object_of(self._calls.ask("GET", path), f"GET {path}")
        except ServiceError as error:
            if error.status == 404:
                return None
            raise
        if found.get("deviceId") != device_id:  # it is written back
            raise ServiceError(f"GET {path}: the answer is not about {device_id}")
        status = "enabled" if enabled else "disabled"
        if found.get("status") == status:
            return False
        changed(self._calls, "PUT", path, device_id, found, found | {"status": status})
        return True
