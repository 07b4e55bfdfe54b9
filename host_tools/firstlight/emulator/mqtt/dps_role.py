"""A device on its way through DPS, over MQTT. Topics: protocol.md 2.1."""

from collections.abc import Callable
from dataclasses import replace
from urllib.parse import unquote

from ..answers import Answer
from ..dps import service as dps
from ..dps.service import Request
from ..events import event
from ..hub.telemetry import Foreign
from .packets import Publish
from .roles import Cloud, Reply

_DPS_FILTER = "$dps/registrations/res/#"
_REGISTER = "$dps/registrations/PUT/iotdps-register/"
_POLL = "$dps/registrations/GET/iotdps-get-operationstatus/"
_MAX_RID = 128


class DpsRole:
    """A device on its way through DPS. Its token is judged at each request (protocol.md 2.7)."""

    part = "dps"
    expires_at: float | None = None

    def __init__(self, cloud: Cloud, request: Request) -> None:
        self._cloud = cloud
        self._request = request
        self.id = request.registration_id

    def begin(self, close: Callable[[str], None]) -> None:
        """Nothing to do: parallel sessions are allowed."""

    def leave(self) -> None:
        """Nothing to do: no will is served here."""

    def end(self, close: Callable[[str], None]) -> None:
        """Nothing to do."""

    def takes(self, topic_filter: str) -> bool:
        return topic_filter == _DPS_FILTER

    def published(self, packet: Publish) -> Reply | None:
        path, _, query = packet.topic.partition("?")
        fields = dict(_pair(part) for part in query.split("&"))
        rid = fields.get("$rid", "")
        if len(packet.payload) > dps.MAX_MESSAGE_BYTES or len(rid) > _MAX_RID:
            raise Foreign("a message of more than 96 KB, or a $rid that is too long")
        request = replace(self._request, body=packet.payload)
        now_at = self._cloud.clock()
        if path == _REGISTER:
            answer = self._cloud.dps.register(request, now_at)
        elif path == _POLL:
            operation = unquote(fields.get("operationId", ""))
            answer = self._cloud.dps.poll(request, operation, now_at)
        else:
            raise Foreign("a topic that DPS does not have")
        self._cloud.emit(event(now_at, "dps", self.id, answer.note, status=answer.status))
        return Reply(_DPS_FILTER, _answer_topic(answer, rid), answer.body)


def _pair(part: str) -> tuple[str, str]:
    name, _, value = part.partition("=")
    return name, value


def _answer_topic(answer: Answer, rid: str) -> str:
    topic = f"$dps/registrations/res/{answer.status}/?$rid={rid}"
    if answer.retry_after_s is not None:
        topic += f"&retry-after={answer.retry_after_s}"
    return topic
