"""Answers of a service that are not what they should be: a ServiceError each, and no change."""

import base64
import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from firstlight import access, azure, azurecalls
from firstlight.attesting import facts
from firstlight.azurecalls import Connection, Json, Reply
from firstlight.azurehub import Registry
from firstlight.errors import ServiceError, UsageError

KEY = base64.b64encode(bytes(range(32))).decode()
THERE = Connection("localhost", "policy", KEY)
WHOLE: Json = {
    "registrationId": "u1",
    "deviceId": "u1",
    "etag": '"abc"',
    "attestation": {
        "type": "symmetricKey",
        "x509": {"clientCertificates": {"primary": {"info": {"subjectName": "CN=u1"}}}},
    },
    "symmetricKey": {"primaryKey": KEY, "secondaryKey": KEY},
    "provisioningStatus": "enabled",
    "optionalDeviceInformation": {"keptOutOfItsGroup": {"hub": "h.example"}},
    "assignedHub": "h.example",
    "status": "enabled",
    "isSuccessful": False,
    "errors": [{"registrationId": "u1", "errorCode": 409000, "errorStatus": "there"}],
}
ODD: tuple[Any, ...] = (
    None, True, -1, 1e308, 10**50, "", "x", "\ud800", "a\nb", "\x1b[2J", [], [1], {}, {"a": 1},
)  # fmt: skip


class Answers:
    """A service that always answers the same; and the changes that it was asked for."""

    def __init__(self) -> None:
        self.raw, self.changes = b"", list[tuple[str, Mapping[str, str], Json | None]]()

    def __call__(
        self, method: str, url: str, headers: Mapping[str, str], body: Json | None, _: object
    ) -> Reply:
        assert all(value.isascii() and value.isprintable() for value in headers.values())
        if method in ("PUT", "DELETE"):
            self.changes.append((method, headers, json.loads(json.dumps(body))))
        return Reply(200, {}, self.raw)


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Answers:
    made = Answers()
    monkeypatch.setattr(azurecalls, "asked", made)
    return made


def calls() -> dict[str, Callable[[], object]]:
    at, hub = azure.Service(THERE), Registry(THERE)
    return {
        "find": lambda: at.find("enrollments", "u1"),
        "disable": lambda: access.switch(at, "enrollments", "u1", False),
        "enable": lambda: access.switch(at, "enrollments", "u1", True),
        "revoke": lambda: access.revoke(at, "u1"),
        "remove": lambda: access.remove(at, "u1"),
        "bulk": lambda: at.bulk("create", [azure.individual("u1", "", {})]),
        "list": lambda: list(at.each("enrollments")),
        "keys": lambda: at.key_pair("enrollments", "u1"),
        "hub": lambda: hub.switch("u1", False),
        "facts": lambda: facts((at.find("enrollments", "u1") or {}).get("attestation")),
    }


def spoilt() -> Iterator[bytes]:
    """The whole answer with one field, or one within it, gone or of another type."""
    for name, value in WHOLE.items():
        yield json.dumps({key: WHOLE[key] for key in WHOLE if key != name}).encode()
        inner = value[0] if isinstance(value, list) else value
        for odd in ODD:
            yield json.dumps(WHOLE | {name: odd}).encode()
            for key in inner if isinstance(inner, dict) else ():
                changed = inner | {key: odd}
                put = [changed] if isinstance(value, list) else changed
                yield json.dumps(WHOLE | {name: put}).encode()
    yield from (b"", b"<html>", b"\xff\xfe", b"[]", b"null", b"[" * 100_000, b"9" * 5000, b"[[1]]")


def test_whatever_a_service_answers_is_taken_or_a_service_error(answers: Answers) -> None:
    asked, told = calls(), []
    for answers.raw in spoilt():
        for name, call in asked.items():
            try:
                found = call()
            except ServiceError as error:
                told.append(str(error))
            except UsageError:
                assert name == "remove"  # a unit that is kept out of its group
            else:
                if isinstance(found, access.Change):
                    told.append(found.told + found.hub + found.device_id)
    assert [text for text in told if not text.isprintable()] == []
    assert len(told) > 1000


@pytest.mark.parametrize(
    "odd", [{}, {"etag": ""}, {"etag": None}, {"etag": "a\nb"}, {"registrationId": "other"}]
)
def test_what_is_not_known_whole_is_not_changed(answers: Answers, odd: Json) -> None:
    answers.raw = json.dumps(WHOLE | odd if odd else {}).encode()
    for name in ("disable", "enable", "revoke"):
        with pytest.raises(ServiceError, match=r"without an etag|not about u1"):
            calls()[name]()
    answers.raw = json.dumps(WHOLE | {"deviceId": "other"} if odd else {}).encode()
    with pytest.raises(ServiceError, match="not about u1"):
        calls()["hub"]()
    assert not answers.changes


def test_what_is_whole_is_changed_under_its_etag(answers: Answers) -> None:
    answers.raw = json.dumps(WHOLE).encode()
    assert calls()["hub"]() is True
    calls()["revoke"]()
    methods, headers, bodies = zip(*answers.changes, strict=True)
    assert methods == ("PUT", "PUT", "DELETE")
    assert {one["If-Match"] for one in headers} == {'"abc"'}
    assert bodies[1]["attestation"]["symmetricKey"]["primaryKey"] == KEY
