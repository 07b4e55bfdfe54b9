"""Faults in what DPS says: one answer in, another out, whatever transport carries it.

Pure. A fault before a request leaves the service untouched; one after it changes only what the
device is told.

    exchange = Exchange("poll", whom, "esp32-a1b2c3", body, operation_id)
    told = through(faults, exchange, lambda: service.poll(request, operation_id, now_at))
    told.answer.status, told.answer.body, told.topic(rid)
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote

from ..answers import Answer, Json, Refusal, etag, operation_id, timestamp
from .faults import Faults, Hit, Whom
from .table import ANSWER

_NAMES = {"hub": "assignedHub", "device_id": "deviceId", "substatus": "substatus"}
_ENDS = {"assigning": 202, "unassigned": 202, "disabled": 200, "failed": 200}


@dataclass(frozen=True)
class Exchange:
    """A device's request. what: register, poll or lookup; operation_id: of a poll."""

    what: str
    whom: Whom
    registration_id: str
    body: bytes = field(default=b"", repr=False)
    operation_id: str = ""


@dataclass(frozen=True)
class Told:
    """An answer, and how it is spelled. rid: another than the request's, if not None."""

    answer: Answer
    rid: str | None = None
    retry_name: str = "retry-after"
    retry_first: bool = False

    def topic(self, rid: str) -> str:
        """Where the answer goes over MQTT (protocol.md 2.1)."""
        fields = [f"$rid={rid if self.rid is None else self.rid}"]
        if self.answer.retry_after_s is not None:
            at = 0 if self.retry_first else 1
            fields.insert(at, f"{self.retry_name}={self.answer.retry_after_s}")
        return f"$dps/registrations/res/{self.answer.status}/?{'&'.join(fields)}"


def through(faults: Faults, exchange: Exchange, ask: Callable[[], Answer]) -> Told:
    """Ask the service, unless a fault answers for it; then change what faults want changed."""
    if not faults.is_set:
        return Told(ask())
    if exchange.what == "register" and faults.wants_payloads:
        _remember(faults, exchange)
    before = faults.pick(exchange.what, ANSWER, exchange.whom)
    told = Told(_instead(faults, exchange, before[-1]) if before else ask())
    for hit in faults.pick(f"{exchange.what}-answer", ANSWER, exchange.whom):
        told = _changed(faults, exchange, told, hit)
    return told


def _remember(faults: Faults, exchange: Exchange) -> None:
    try:
        payload = json.loads(exchange.body).get("payload")
    except (ValueError, RecursionError, AttributeError):
        return  # the service will say so
    faults.remember(exchange.registration_id.lower(), payload)


def _changed(faults: Faults, exchange: Exchange, told: Told, hit: Hit) -> Told:
    args, answer = hit.args, told.answer
    if hit.do == "retry-after":
        return _spelled(told, args)
    if hit.do == "rid":
        return replace(told, rid=quote(args["value"], safe="-._~"))
    if hit.do == "body":
        raw = args["text"].encode() if args["hex"] is None else bytes.fromhex(args["hex"])
        answer = replace(answer, raw=raw)
    elif hit.do == "truncate":
        answer = replace(answer, raw=answer.body[: args["bytes"]])
    elif hit.do in ("state", "payload"):
        answer = _amended(answer, exchange, _news(faults, exchange, hit))
    else:
        answer = _instead(faults, exchange, hit, answer)
    return replace(told, answer=answer)


def _news(faults: Faults, exchange: Exchange, hit: Hit) -> Json:
    args = hit.args
    if hit.do == "payload":
        kept = faults.payloads.get(exchange.registration_id.lower())
        return {"payload": kept if args["value"] is None else args["value"]}
    news = {_NAMES[name]: args[name] for name in _NAMES if args[name] is not None}
    return news | (args["set"] or {})


def _spelled(told: Told, args: Json) -> Told:
    answer = told.answer
    if args["seconds"] is not None:
        seconds = None if args["seconds"] < 0 else args["seconds"]
        answer = replace(answer, retry_after_s=seconds)
    name = quote(args["name"], safe="-._~")
    return replace(told, answer=answer, retry_name=name, retry_first=args["first"])


def _amended(answer: Answer, exchange: Exchange, news: Json) -> Answer:
    """The answer with other values in its registrationState; as it was if it has none."""
    document = answer.document
    if not isinstance(document, dict) or answer.raw is not None:
        return answer
    if exchange.what == "lookup" and answer.status == 200:
        return replace(answer, document=_merged(document, news))
    state = document.get("registrationState")
    if not isinstance(state, dict):
        return answer
    return replace(answer, document=document | {"registrationState": _merged(state, news)})


def _merged(state: Json, news: Json) -> Json:
    return {name: value for name, value in (state | news).items() if value is not None}


def _instead(faults: Faults, exchange: Exchange, hit: Hit, before: Answer | None = None) -> Answer:
    """What a fault says in the service's place. before: what the service said, if it was asked."""
    args, now_at = hit.args, faults.clock()
    if hit.do == "refuse":
        status = args["status"]
        code = _code(exchange, status) if args["code"] is None else args["code"]
        message = args["message"] or f"Told to answer {status}."
        refusal = Refusal(status, code, message, retry_after_s=args["retry_after"])
        return refusal.answer(now_at, faults.random_bytes)
    known = before.document if before is not None and isinstance(before.document, dict) else {}
    id = exchange.operation_id or known.get("operationId") or operation_id(faults.random_bytes)
    state: Json = {"registrationId": exchange.registration_id, "status": hit.do}
    document: Json = {"operationId": id, "status": hit.do, "registrationState": state}
    if hit.do == "disabled":
        document["operationId"] = ""  # protocol.md 2.3
    if hit.do == "failed":
        state |= _failure(faults, args, now_at)
    if exchange.what == "lookup":
        document = state
    wait_s = args.get("retry_after")
    if wait_s is None and hit.do in ("assigning", "unassigned") and before is not None:
        wait_s = before.retry_after_s
    return Answer(_ENDS[hit.do], document, f"{hit.do}, a fault", wait_s)


def _code(exchange: Exchange, status: int) -> int:
    """What DPS says with a status, unless a setting has it otherwise (protocol.md 2.6)."""
    codes = {
        401: 401002 if exchange.whom.over == "https" else 401000,
        404: 404203 if exchange.what == "poll" else 404201,
        429: 429001,
    }
    return codes.get(status, status * 1000)


def _failure(faults: Faults, args: dict[str, Any], now_at: float) -> Json:
    """protocol.md 2.3; nested: as a hub's own refusal is passed on."""
    message = args["message"]
    if args["nested"]:
        inner = {
            "errorCode": args["code"],
            "message": message,
            "trackingId": f"{faults.random_bytes(16).hex()}-G2:-TimeStamp:{timestamp(now_at)}",
            "timestampUtc": timestamp(now_at),
            "info": None,
        }
        message = json.dumps({"Message": json.dumps(inner), "ExceptionMessage": ""})
    return {
        "createdDateTimeUtc": timestamp(now_at),
        "errorCode": args["code"],
        "errorMessage": message,
        "lastUpdatedDateTimeUtc": timestamp(now_at),
        "etag": etag(now_at, faults.random_bytes),
    }
