"""The services over a journal in memory, and everything that may be done to them.

For tests of what a journal holds: no sockets, no files, a clock that only a step moves.
"""

import base64
import json
import os
from collections.abc import Callable
from typing import Any

from firstlight.emulator.dps.rules import Request
from firstlight.emulator.hub.hub import Hub
from firstlight.emulator.hub.line import Delivery
from firstlight.emulator.journal import Journal
from firstlight.emulator.rest import Call
from firstlight.emulator.services import Services, Surroundings
from firstlight.emulator.settings import Settings

from . import peers
from .memory import Paper

HUBS = ("localhost", "127.0.0.2")
SETTINGS = Settings(
    id_scope="0ne00000001",
    hubs=HUBS,
    registrations_per_minute=None,
    polls_per_10_s=None,
    operations_per_minute=None,
)
KEY = base64.b64encode(b"k" * 32).decode()
ATTESTATION = {"type": "symmetricKey", "symmetricKey": {"primaryKey": KEY, "secondaryKey": KEY}}
RESET = {"updateHubAssignment": True, "migrateDeviceData": False}
NEVER = {"updateHubAssignment": False, "migrateDeviceData": False}
WIRE = ("attach", "clean", "subscribe", "unsubscribe", "acknowledge", "detach", "say", "report")
WEBHOOK = {"webhookUrl": "https://localhost/allocate", "apiVersion": "2021-10-01"}


class Wire:
    """A device's line, which takes all and acknowledges when told."""

    def __init__(self, hub: Hub, id: str) -> None:
        self._hub, self._id = hub, id
        self.acks: list[Callable[[float], None]] = []

    def push(
        self,
        topic_filter: str,
        topic: str,
        payload: bytes,
        delivery: Delivery | None = None,
    ) -> bool:
        if delivery is not None:
            delivery.on_sent(7)
            self.acks.append(delivery.on_ack)
        return True

    def has(self, topic_filter: str) -> bool:
        return True

    def has_room(self) -> bool:
        return len(self.acks) < 3

    def close(self, why: str) -> None:
        self._hub.detach(self._id, self, 1.5)


class World:
    """The services over a paper journal, and whatever may be done to them."""

    def __init__(self) -> None:
        self.paper = Paper()
        self.now_at = 1_800_000_000.0
        self.services = self.made(self.paper)
        self.wires: dict[tuple[str, str], Wire] = {}
        self.asked: list[str] = []
        self.services.dps.ask = lambda call: self.asked.append(call.operation_id)
        self.settle()

    def settle(self) -> None:
        """Two devices in each hub, one of them connected; messages; a registered one."""
        self.dps("PUT", "/enrollmentGroups/g", {"attestation": ATTESTATION})
        for hub in HUBS:
            for id in "ab":
                assert self.hub(hub, "PUT", f"/devices/{id}", {"deviceId": id}) == 200
            for what in ("attach", "subscribe"):
                self.wire(hub, "a", what)
            for id in "aabb":
                self.hub(
                    hub, "POST", f"/devices/{id}/messages/devicebound", b"1", iothub_ack="full"
                )
            self.take(hub, "b", "complete")
        self.register("r", "mqtt")
        do(self, "enroll", "enrollments", "b", BODIES[5])
        self.register("b", "mqtt")

    def made(self, journal: Journal) -> Services:
        around = Surroundings(
            lambda: self.now_at, os.urandom, lambda _: None, journal, lambda: frozenset(HUBS)
        )
        return Services(SETTINGS, around)

    def dps(self, method: str, path: str, body: Any = None, **headers: str) -> int:
        key = next(iter(self.services.policies)).keys.primary_b64
        token = peers.token(HUBS[0], key, skn="provisioningserviceowner")
        return self.answered(self.services.api.handle, token, method, path, body, **headers)

    def hub(self, hub: str, method: str, path: str, body: Any = None, **headers: str) -> int:
        key = next(iter(self.services.hub_policies[hub])).keys.primary_b64
        token = peers.token(hub, key, skn="iothubowner")
        side = self.services.sides[hub]
        return self.answered(side.service, token, method, path, body, **headers)

    def device(self, hub: str, method: str, path: str, body: Any = None, **headers: str) -> int:
        key = next(iter(self.services.hub_policies[hub])).keys.primary_b64
        token = peers.token(hub, key, skn="iothubowner")
        side = self.services.sides[hub]
        return self.answered(side.device, token, method, path, body, **headers)

    def answered(
        self, handle: Any, token: str, method: str, path: str, body: Any, **headers: str
    ) -> int:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode() if body else b""
        named = {"authorization": token, "content-type": "application/json"}
        named |= {name.replace("_", "-"): value for name, value in headers.items()}
        self.last = handle(
            Call(method, path, {"api-version": "2021-10-01"}, named, raw), self.now_at
        )
        return int(self.last.status)

    def register(self, id: str, over: str) -> None:
        resource = f"{SETTINGS.id_scope}/registrations/{id}"
        for key in (KEY, peers.sign(KEY, id)):
            token = peers.token(resource, key)
            request = Request(str(SETTINGS.id_scope), id, token, b'{"payload":{"a":1}}', over)
            answer = self.services.dps.register(request, self.now_at)
            if answer.status == 202:
                for _ in range(2):
                    self.services.dps.poll(request, answer.document["operationId"], self.now_at)

    def enable(self, hub: str, id: str, enabled: bool) -> None:
        """As the emulator's own API does it."""
        if self.services.hubs[hub].registry.get(id) is not None:
            self.services.hubs[hub].set_enabled(id, enabled, self.now_at)

    def webhook(self, status: int, hub: str) -> None:
        """The answer of a custom allocation's webhook."""
        if self.asked:
            body = {"iotHubHostName": hub, "initialTwin": {"tags": {"w": 1}}, "payload": {"p": 1}}
            self.services.dps.webhook_answered(
                self.asked.pop(0), status, json.dumps(body).encode(), self.now_at
            )

    def wire(self, hub: str, id: str, what: str) -> None:
        """What happens on a device's connection."""
        its_hub = self.services.hubs[hub]
        device = its_hub.registry.get(id)
        if device is None:
            return
        wire = self.wires.setdefault((hub, id), Wire(its_hub, id))
        if what in ("attach", "clean"):
            wire.acks.clear()
            its_hub.attach(id, wire, self.now_at, what == "clean")
        elif device.line is wire:
            self.talk(its_hub, id, wire, what)

    def talk(self, hub: Hub, id: str, wire: Wire, what: str) -> None:
        messages = f"devices/{id}/messages/devicebound/#"
        events = f"devices/{id}/messages/events/a=%C3%BC&$.mid=1"
        steps: dict[str, Callable[[], Any]] = {
            "subscribe": lambda: hub.subscribed(id, messages, 1, self.now_at),
            "unsubscribe": lambda: hub.unsubscribed(id, messages),
            "acknowledge": lambda: wire.acks and wire.acks.pop(0)(self.now_at),
            "detach": lambda: hub.detach(id, wire, self.now_at),
            "say": lambda: hub.receive(id, events, b"\xff", True, 1.5),
            "report": lambda: hub.twin_reported(id, {"n": self.now_at, "o": {"a": None}}, 1.5),
        }
        steps[what]()

    def take(self, hub: str, id: str, end: str) -> None:
        """A message over HTTPS, and its end."""
        path = f"/devices/{id}/messages/deviceBound"
        if self.device(hub, "GET", path) == 200:
            lock = self.last.headers["ETag"].strip('"')
            ends = {"complete": ("DELETE", lock), "abandon": ("POST", f"{lock}/abandon")}
            if end in ends:
                self.device(hub, ends[end][0], f"{path}/{ends[end][1]}")

    def read_feedback(self, hub: str) -> None:
        if self.hub(hub, "GET", "/messages/serviceBound/feedback") == 200:
            lock = self.last.headers["ETag"].strip('"')
            self.hub(hub, "DELETE", f"/messages/serviceBound/feedback/{lock}")


IDS = ("a", "b")
BODIES = tuple(
    {"attestation": ATTESTATION} | more
    for more in (
        {"provisioningStatus": "disabled", "optionalDeviceInformation": {"x": 1}},
        {"allocationPolicy": "static", "iotHubs": [HUBS[1]]},
        {"allocationPolicy": "static", "iotHubs": [HUBS[0]], "reprovisionPolicy": RESET},
        {"allocationPolicy": "geoLatency", "reprovisionPolicy": NEVER},
        {"initialTwin": {"tags": {"t": 1}, "properties": {"desired": {"d": [1, "\u00fc"]}}}},
        {"allocationPolicy": "custom", "customAllocationDefinition": WEBHOOK},
        {"capabilities": {"iotEdge": True}},
    )
)
TWINS = (
    {"tags": {"a": 1}},
    {"tags": {"a": None, "b": {"c": "\U0001f600"}}},
    {"properties": {"desired": {"a": 1.5}}},
    {"tags": {"b": None}, "properties": {"desired": {"a": None, "c": [{}]}}},
)
STATUS = ("enabled", "disabled")
MODES = ("create", "createOrUpdate", "update", "delete", "updateTwin")
# Everything that may be done: its name, and the values of each of its arguments.
STEPS: dict[str, tuple[tuple[Any, ...], ...]] = {
    "enroll": (("enrollments", "enrollmentGroups"), IDS, BODIES),
    "unenroll": (("enrollments", "enrollmentGroups", "registrations"), (*IDS, "g", "r")),
    "bulk enroll": (("create", "update", "delete"), IDS, BODIES[:2]),
    "register": ((*IDS, "r"), ("mqtt", "https")),
    "webhook": ((200, 500), HUBS),
    "create": (HUBS, ("a", "new"), STATUS),
    "identity": (HUBS, IDS, STATUS),
    "enable": (HUBS, IDS, (True, False)),
    "forget": (HUBS, IDS),
    "bulk": (HUBS, (*IDS, "new"), MODES, ({}, {"status": "disabled"}, {"tags": {"x": 1}})),
    "twin": (HUBS, IDS, ("PATCH", "PUT"), TWINS),
    "send": (HUBS, IDS, ("none", "positive", "negative", "full")),
    "purge": (HUBS, IDS),
    "take": (HUBS, IDS, ("complete", "abandon", "reject", "nothing")),
    "feedback": (HUBS,),
    "wire": (HUBS, IDS, WIRE),
    "post": (HUBS, IDS),
    "wait": ((1, 61, 4000),),
}


def do(world: World, what: str, *a: Any) -> None:
    steps: dict[str, Callable[..., Any]] = {
        "enroll": lambda kind, id, body: (
            world.dps("PUT", f"/{kind}/{id}", body, if_match="*")
            if world.dps("GET", f"/{kind}/{id}") == 200
            else world.dps("PUT", f"/{kind}/{id}", body)
        ),
        "unenroll": lambda kind, id: world.dps("DELETE", f"/{kind}/{id}"),
        "bulk enroll": lambda mode, id, body: world.dps(
            "POST", "/enrollments", {"mode": mode, "enrollments": [body | {"registrationId": id}]}
        ),
        "register": world.register,
        "identity": lambda hub, id, status: world.hub(
            hub, "PUT", f"/devices/{id}", {"deviceId": id, "status": status}, if_match="*"
        ),
        "create": lambda hub, id, status: world.hub(
            hub, "PUT", f"/devices/{id}", {"deviceId": id, "status": status}
        ),
        "enable": world.enable,
        "forget": lambda hub, id: world.hub(hub, "DELETE", f"/devices/{id}", if_match="*"),
        "bulk": lambda hub, id, mode, more: world.hub(
            hub, "POST", "/devices", [more | {"id": id, "importMode": mode}]
        ),
        "twin": lambda hub, id, method, body: world.hub(hub, method, f"/twins/{id}", body),
        "send": lambda hub, id, ack: world.hub(
            hub, "POST", f"/devices/{id}/messages/devicebound", b"\x00hello", iothub_ack=ack
        ),
        "purge": lambda hub, id: world.hub(hub, "DELETE", f"/devices/{id}/commands"),
        "take": world.take,
        "feedback": world.read_feedback,
        "wire": world.wire,
        "post": lambda hub, id: world.device(
            hub, "POST", f"/devices/{id}/messages/events", b"x", iothub_app_colour="red"
        ),
        "webhook": world.webhook,
        "wait": lambda seconds: setattr(world, "now_at", world.now_at + seconds),
    }
    steps[what](*a)
