"""The emulator's own calls, which Azure does not have: what it is, who is connected, faults.

Pure. Without a token, for only this machine can ask:

    GET    /emulator/info
    GET    /emulator/connections
    DELETE /emulator/connections/{hub}/{device}      kicks the device
           /emulator/faults...                       faults' own
           /emulator/certificates...                 CA certificates' own
"""

from collections.abc import Callable, Mapping

from ..answers import Answer, Json, RandomBytes, Refusal
from ..rest import Call

Handle = Callable[[Call, float], Answer]
Kick = Callable[[str], bool]


class OwnApi:
    """info, connections: what to show; kick: by hub, ends a device's connection.

    faults, certificates: answer the calls that are their own.
    """

    def __init__(
        self,
        info: Callable[[], Json],
        connections: Callable[[], list[Json]],
        kick: Mapping[str, Kick],
        random_bytes: RandomBytes,
        faults: Handle | None = None,
        certificates: Handle | None = None,
    ) -> None:
        self._info = info
        self._connections = connections
        self._kick = kick
        self._random_bytes = random_bytes
        self._parts = {"faults": faults, "certificates": certificates}

    def handle(self, call: Call, now_at: float) -> Answer:
        """Answer a call; a refusal is an Answer too."""
        try:
            return self._route(call, now_at)
        except Refusal as refusal:
            return refusal.answer(now_at, self._random_bytes)

    def _route(self, call: Call, now_at: float) -> Answer:
        _, first, *rest = [*call.path.strip("/").split("/"), ""]
        rest = rest[:-1]
        part = self._parts.get(first)
        if part is not None:
            return part(call, now_at)
        if first == "info" and not rest:
            return _only("GET", call, lambda: Answer(200, self._info()))
        if first == "connections" and not rest:
            return _only("GET", call, lambda: Answer(200, self._connections()))
        if first == "connections" and len(rest) == 2:
            return _only("DELETE", call, lambda: self._end(*rest))
        raise Refusal(404, 404000, "The emulator has no such call.")

    def _end(self, hub: str, device_id: str) -> Answer:
        kick = self._kick.get(hub)
        if kick is None or not kick(device_id):
            raise Refusal(404, 404103, f"No device {device_id[:128]} is connected to {hub[:253]}.")
        return Answer(204, None, f"{device_id} kicked")


def _only(method: str, call: Call, answer: Callable[[], Answer]) -> Answer:
    if call.method == method or (call.method == "HEAD" and method == "GET"):
        return answer()
    raise Refusal(405, 405000, f"Method not allowed: {method} alone is.")
