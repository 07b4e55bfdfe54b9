"""What must outlive a process: a journal in memory that holds it, and the services' view of it."""

import json
from collections.abc import Iterator
from typing import Any

from firstlight.emulator.hub.hub import Hub
from firstlight.emulator.hub.registry import identity_document
from firstlight.emulator.hub.telemetry import shown
from firstlight.emulator.services import Services

# A connection's, which ends with the process.
VOLATILE = ("connectionState", "connectionStateUpdatedTime", "lastActivityTime")


class Paper:
    """A journal in memory, which holds texts, as a file does."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, str], str] = {}

    def put(self, kind: str, key: str, document: dict[str, Any]) -> None:
        self.records[kind, key] = json.dumps(document, allow_nan=False)

    def delete(self, kind: str, key: str) -> None:
        self.records.pop((kind, key), None)

    def load(self, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
        for (its_kind, key), text in list(self.records.items()):
            if its_kind == kind:
                yield key, json.loads(text)

    def commit(self) -> None:
        """Nothing waits."""

    def close(self) -> None:
        """Nothing to close."""


def remembered(services: Services) -> dict[str, Any]:
    """All that must outlive the process."""
    store = services.store
    return {
        "id scope": services.id_scope,
        "policies": [list(policy.keys) for policy in services.policies],
        "enrollments": [(item.id, item.record()) for item in store.individuals.all()],
        "groups": [(item.id, item.record()) for item in store.groups.all()],
        "registrations": [record.record() for record in store.registrations()],
        "operations": [
            (one.id, one.document() | {"polls_left": 0}) for one in store._operations.values()
        ],
        "telemetry": [shown(message) for message in services.telemetry.select()],
        "received": services.telemetry.received,
    } | {name: hub_remembered(services, hub) for name, hub in services.hubs.items()}


def hub_remembered(services: Services, hub: Hub) -> dict[str, Any]:
    devices = [identity_document(device) for device in hub.devices()]
    return {
        "policies": [list(policy.keys) for policy in services.hub_policies[hub.name]],
        "devices": [{k: v for k, v in one.items() if k not in VOLATILE} for one in devices],
        "twins": [device.twin.record() for device in hub.devices()],
        "messages": {
            id: [(entry.message.sequence, entry.message.body, entry.message.delivery_count,
                  dict(entry.message.properties), dict(entry.message.system), entry.message.ack,
                  entry.ends_at, entry.packet_id) for entry in box.values()]
            for id, box in hub._mail._boxes.items() if box
        },
        "feedback": list(hub._feedback._records.values()),
        "sessions": {
            id: session.document()
            for id, session in hub._sessions._sessions.items()
            if not session.is_clean
        },
    }  # fmt: skip
