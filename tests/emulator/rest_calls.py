"""A hub's REST APIs without HTTP: calls signed by a policy or by a device, and their answers."""

import json
from typing import Any

from firstlight.emulator.answers import Answer, Json
from firstlight.emulator.hub.api import HubApi
from firstlight.emulator.hub.devices import DeviceApi
from firstlight.emulator.hub.telemetry import Message
from firstlight.emulator.rest import Call
from tests.emulator import hubs
from tests.emulator.hubs import NOW, Book, random_bytes
from tests.emulator.peers import token

HOST = "my-hub"
KEYS = list(hubs.KEYS)


class Bench:
    """A hub with its two APIs. heard: the telemetry that came over HTTPS."""

    def __init__(self, book: Book | None = None) -> None:
        self.heard: list[Message] = []
        self.hub = hubs.a_hub(HOST, book=book)
        assert self.hub.policies is not None
        self.policies = self.hub.policies
        names = frozenset((HOST, f"{HOST}:8443"))
        self.api = HubApi(self.hub, self.policies, lambda: names, random_bytes)
        self.devices = DeviceApi(
            self.hub,
            self.policies,
            lambda: names,
            random_bytes,
            self.heard.append,
            self.api.handle,
        )

    def signed(self, policy: str, resource: str = HOST) -> str:
        """A token of a policy."""
        found = self.policies.get(policy)
        assert found is not None
        return token(resource, found.keys.primary_b64, skn=policy)

    def ask(
        self, method: str, path: str, body: Any = b"", policy: str = "iothubowner", **headers: str
    ) -> Answer:
        """One call of the service."""
        return self.api.handle(self.call(method, path, body, self.signed(policy), headers), NOW)

    def ask_as(
        self, device_id: str, method: str, path: str, body: Any = b"", **headers: str
    ) -> Answer:
        """One call of the device, with its own token."""
        sas = token(f"{HOST}/devices/{device_id}", KEYS[0], skn=None)
        return self.devices.handle(self.call(method, path, body, sas, headers), NOW)

    def call(
        self, method: str, path: str, body: Any, authorization: str, headers: dict[str, str]
    ) -> Call:
        """path may have a query; headers' names are written with underscores."""
        path, _, rest = path.partition("?")
        query = dict(pair.partition("=")[::2] for pair in rest.split("&") if pair)
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        sent["authorization"] = authorization
        return Call(method, path, {"api-version": "2021-04-12"} | query, sent, raw)

    def create(self, device_id: str = "dev", **fields: Any) -> Json:
        """A device whose keys are KEYS."""
        pair = {"primaryKey": KEYS[0], "secondaryKey": KEYS[1]}
        document = {"authentication": {"type": "sas", "symmetricKey": pair}} | fields
        answer = self.ask("PUT", f"/devices/{device_id}", document)
        assert answer.status == 200, answer
        found: Json = answer.document
        return found


def error(answer: Answer) -> tuple[int, str]:
    """The status and the name of a hub's error, which must be told alike in both places."""
    name = answer.headers["iothub-errorcode"]
    assert answer.document["Message"].startswith(f"ErrorCode:{name};")
    assert answer.document["ExceptionMessage"].startswith("Tracking ID:")
    assert answer.body
    return answer.status, name
