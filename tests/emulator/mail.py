"""A hub with one device, "dev", its connections and its messages, for tests without servers."""

from typing import Any

from firstlight.emulator.answers import Refusal
from firstlight.emulator.hub.hub import Hub
from firstlight.emulator.hub.messages import C2D
from tests.emulator.hubs import BY_KEYS, NOW, Book, Line, a_hub

BOUND = "devices/dev/messages/devicebound/"
FILTER = BOUND + "#"


def hub_with_device(book: Book | None = None, **rules: Any) -> Hub:
    hub = a_hub(book=book, **rules)
    if hub.registry.get("dev") is None:
        hub.put_device("dev", BY_KEYS, NOW)
    return hub


def join(hub: Hub, qos: int | None = 1, clean: bool = True, at: float = NOW, **more: Any) -> Line:
    """The device connects, and subscribes unless qos is None; a kept session is restored."""
    line = Line(**more)
    kept = hub.attach("dev", line, at, clean)
    for topic_filter, kept_qos in (kept or {}).items():
        line.subscribe(hub, topic_filter, kept_qos, at)
    if qos is not None:
        line.subscribe(hub, FILTER, qos, at)
    return line


def leave(hub: Hub, line: Line, at: float = NOW) -> None:
    hub.detach("dev", line, at)


def bodies(line: Line) -> list[bytes]:
    return [payload for _, payload in line.sent]


def outcomes(hub: Hub, at: float = NOW) -> list[tuple[str, str]]:
    batch = hub.lock_feedback(at)
    if batch is None:
        return []
    hub.complete_feedback(batch.lock_token, at)
    return [(r["originalMessageId"], r["statusCode"]) for r in batch.records]


def ask(id: str, ack: str = "full", **more: Any) -> C2D:
    return C2D(b"", {}, {"message-id": id}, ack, **more)


def refused(status: int, code: int) -> Any:
    class Caught:
        def __enter__(self) -> None: ...

        def __exit__(self, kind: Any, error: Any, _: Any) -> bool:
            assert kind is Refusal, "nothing was refused"
            assert (error.status, error.code) == (status, code)
            return True

    return Caught()
