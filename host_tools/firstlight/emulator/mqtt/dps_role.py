"""A device on its way through DPS, over MQTT: topics to the service, its answers to topics.

No I/O. Topics: protocol.md 2.1; what it leaves open is in rules.py.
"""

from collections.abc import Callable
from dataclasses import replace
from urllib.parse import unquote

from ..answers import Answer
from ..dps.rules import MAX_MESSAGE_BYTES, Request
from ..events import event
from ..faults.answers import Exchange, through
from ..faults.faults import Whom
from ..hub.line import Line
from ..hub.telemetry import Foreign
from .packets import Publish
from .roles import Cloud, Kept, Reply

_DPS_FILTER = "$dps/registrations/res/#"
_REGISTER = "$dps/registrations/PUT/iotdps-register/"
_POLL = "$dps/registrations/GET/iotdps-get-operationstatus/"
_MAX_RID = 128


class DpsRole:
    """A device on its way through DPS, which judges each of its requests (protocol.md 2.7)."""

    part = "dps"
    hub_name = ""
    expires_at: float | None = None
    shown = "token"

    def __init__(self, cloud: Cloud, request: Request, over: str) -> None:
        self._cloud = cloud
        self._request = request
        self._whom = Whom(request.registration_id, "", self.part, over)
        rules = cloud.rules
        self.id = request.registration_id
        self.max_silence_s = rules.max_silence_s
        self.ignores_qos2 = rules.qos2 == "ignore"
        self.denies_softly = rules.denied_subscribe == "failure"

    def begin(self, line: Line) -> Kept | None:
        """Take note of the connection if only one may be; none is kept (protocol.md 1.2)."""
        if self._cloud.rules.parallel != "allow":
            before = self._cloud.dps_lines.get(self._key)
            self._cloud.dps_lines[self._key] = line
            if before is not None:
                before.close("a newer connection of the same registration id")
        return None

    def leave(self) -> None:
        """Nothing to do: no will is served here."""

    def end(self, line: Line) -> None:
        """The connection is gone."""
        if self._cloud.dps_lines.get(self._key) is line:
            del self._cloud.dps_lines[self._key]

    def subscribed(self, topic_filter: str, qos: int) -> None:
        """Nothing to do: only answers are sent."""

    def unsubscribed(self, topic_filter: str) -> None:
        """Nothing to do."""

    def ready(self) -> None:
        """Nothing to do."""

    def takes(self, topic_filter: str) -> bool:
        """DPS has one filter."""
        return topic_filter == _DPS_FILTER

    def published(self, packet: Publish) -> Reply | None:
        """Answer a request; raise Foreign for what is none, unless that is to be ignored."""
        path, _, query = packet.topic.partition("?")
        fields = dict(_pair(part) for part in query.split("&"))
        rid = fields.get("$rid", "")
        if len(packet.payload) > MAX_MESSAGE_BYTES or len(rid) > _MAX_RID:
            raise Foreign("a message of more than 96 KB, or a $rid that is too long")
        if path == _REGISTER:
            return self._ask("register", packet.payload, rid)
        if path == _POLL:
            operation = unquote(fields.get("operationId", ""))
            return self._ask("poll", packet.payload, rid, operation)
        if self._cloud.rules.foreign_topic == "ignore":
            self._tell("ignored: a topic that DPS does not have")
            return None
        raise Foreign("a topic that DPS does not have")

    def _ask(self, what: str, body: bytes, rid: str, operation: str = "") -> Reply:
        cloud, now_at, own = self._cloud, self._cloud.clock(), self._request
        request = replace(own, body=body)
        asked: dict[str, Callable[[], Answer]] = {
            "register": lambda: cloud.dps.register(request, now_at),
            "poll": lambda: cloud.dps.poll(request, operation, now_at),
        }
        exchange = Exchange(what, self._whom, self.id, body, operation)
        told = through(cloud.faults, exchange, asked[what])
        answer = told.answer
        self._tell(answer.note, status=answer.status)
        is_last = cloud.rules.after_error == "close" and _is_terminal(answer.status)
        return Reply(_DPS_FILTER, told.topic(rid), answer.body, is_last)

    @property
    def _key(self) -> str:
        return self.id.lower()

    def _tell(self, what: str, **more: int) -> None:
        self._cloud.emit(event(self._cloud.clock(), "dps", self.id, what, **more))


def _is_terminal(status: int) -> bool:
    return 400 <= status < 500 and status != 429


def _pair(part: str) -> tuple[str, str]:
    name, _, value = part.partition("=")
    return name, value
