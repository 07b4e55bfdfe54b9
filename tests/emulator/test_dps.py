"""The provisioning service without any server: protocol.md 2, case by case."""

import base64
import itertools
import json
import re
from typing import Any

import pytest

from firstlight.emulator.answers import Answer
from firstlight.emulator.dps.records import (
    Enrollment,
    EnrollmentGroup,
    Fresh,
    IndividualEnrollment,
    read_enrollment,
)
from firstlight.emulator.dps.service import API_VERSIONS, ProvisioningService, Request, Rules
from firstlight.emulator.dps.store import Store
from firstlight.emulator.hub.hub import Hub
from firstlight.emulator.hub.telemetry import Telemetry
from tests.emulator.peers import sign, token

NOW = 1_795_000_000.1234567
SCOPE = "0ne00111111"


class Service:
    """A provisioning service with a clock that stands still until a test moves it."""

    def __init__(self, *hubs: str, **rules: Any) -> None:
        self.now_at = NOW
        counter = itertools.count(1)
        self.random = lambda count: next(counter).to_bytes(count, "big")
        self.store = Store()
        self.hubs = {name: Hub(name, Telemetry()) for name in hubs or ("hub-a",)}
        self.dps = ProvisioningService(Rules(SCOPE, **rules), self.store, self.hubs, self.random)

    def group(self, id: str = "fleet", **document: Any) -> Enrollment:
        return self._enroll(EnrollmentGroup, id, document)

    def device(self, id: str, **document: Any) -> Enrollment:
        return self._enroll(IndividualEnrollment, id, document)

    def _enroll(self, kind: type[Enrollment], id: str, document: dict[str, Any]) -> Enrollment:
        shelf = self.store.groups if kind is EnrollmentGroup else self.store.individuals
        fresh = Fresh(self.now_at, self.random)
        item = read_enrollment(kind, id, document, shelf.get(id), fresh)
        shelf.put(item)
        return item

    def ask(self, id: str, key: str, body: bytes = b"", **changes: Any) -> Request:
        scope = changes.get("scope", SCOPE)
        resource = changes.get("resource", f"{scope}/registrations/{id}")
        se, skn = changes.get("se", int(NOW) + 3600), changes.get("skn", "registration")
        return Request(scope, id, token(resource, key, se, skn), body)

    def register(self, request: Request) -> Answer:
        return self.dps.register(request, self.now_at)

    def finish(self, request: Request, answer: Answer) -> Answer:
        """Poll as often as it takes, at a pace that the metering allows."""
        while answer.status == 202:
            self.now_at += 3
            answer = self.dps.poll(request, answer.document["operationId"], self.now_at)
        return answer

    def complete(self, request: Request) -> dict[str, Any]:
        answer = self.finish(request, self.register(request))
        assert answer.status == 200
        document: dict[str, Any] = answer.document
        return document


def refused(answer: Answer) -> tuple[int, int]:
    assert set(answer.document) == {"errorCode", "trackingId", "message", "timestampUtc"}
    return answer.status, answer.document["errorCode"]


def test_an_individual_device_is_assigned_after_202s() -> None:
    service = Service(polls_before_assigned=2, retry_after_s=7)
    request = service.ask("dev-1", service.device("dev-1").keys.primary_b64)
    first = service.register(request)
    assert (first.status, first.retry_after_s) == (202, 7)
    assert re.fullmatch(r"5\.[0-9a-f]{16}\.[0-9a-f-]{36}", first.document["operationId"])
    assert set(first.document) == {"operationId", "status"}
    operation = first.document["operationId"]
    for _ in range(2):
        answer = service.dps.poll(request, operation, service.now_at)
        assert (answer.status, answer.retry_after_s) == (202, 7)
        assert answer.document["registrationState"]["status"] == "assigning"
    last = service.dps.poll(request, operation, service.now_at)
    assert (last.status, last.retry_after_s) == (200, None)
    state = last.document["registrationState"]
    assert (state["assignedHub"], state["deviceId"]) == ("hub-a", "dev-1")
    assert (state["status"], state["substatus"]) == ("assigned", "initialAssignment")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}Z", state["createdDateTimeUtc"])
    assert base64.b64decode(state["etag"]).startswith(b'"')
    assert "symmetricKey" not in state


@pytest.mark.parametrize("which", ["primary_b64", "secondary_b64"])
def test_a_group_device_registers_with_a_key_derived_from_either_key(which: str) -> None:
    service = Service()
    group = service.group()
    key = sign(getattr(group.keys, which), "dev-1")
    state = service.complete(service.ask("dev-1", key))["registrationState"]
    assert state["symmetricKey"] == {"enrollmentGroupId": "fleet"}
    assert key in list(service.hubs["hub-a"].devices()[0].keys)


def test_the_right_group_is_found_among_several() -> None:
    service = Service()
    service.group("other")
    group = service.group("mine")
    service.group("closed", provisioningStatus="disabled")
    done = service.complete(service.ask("dev-1", sign(group.keys.primary_b64, "dev-1")))
    assert done["registrationState"]["symmetricKey"] == {"enrollmentGroupId": "mine"}


def test_a_wrong_key_is_refused_at_register() -> None:
    service = Service()
    group = service.group()
    assert refused(service.register(service.ask("dev-1", group.keys.primary_b64))) == (401, 401000)
    service.device("dev-2")
    assert refused(
        service.register(service.ask("dev-2", sign(group.keys.primary_b64, "dev-2")))
    ) == (
        401,
        401000,
    )


def test_an_expired_token_is_refused_with_its_own_code() -> None:
    service = Service(expired_code=401002)
    request = service.ask("dev-1", service.device("dev-1").keys.primary_b64, se=int(NOW))
    assert refused(service.register(request)) == (401, 401002)


@pytest.mark.parametrize(
    "changes",
    [
        {"resource": f"{SCOPE}/registrations/other"},
        {"resource": "0ne99999999/registrations/dev-1"},
        {"resource": "hub-a/devices/dev-1"},
        {"skn": "iothubowner"},
    ],
)
def test_a_token_for_something_else_is_refused(changes: Any) -> None:
    service = Service()
    request = service.ask("dev-1", service.device("dev-1").keys.primary_b64, **changes)
    assert refused(service.register(request)) == (401, 401000)


def test_a_token_without_skn_is_taken_as_the_python_sdk_sends_it() -> None:
    service = Service()
    request = service.ask("dev-1", service.device("dev-1").keys.primary_b64, skn=None)
    assert service.register(request).status == 202


def test_no_enrollment_and_a_wrong_scope_are_404() -> None:
    service = Service()
    key = base64.b64encode(b"k" * 32).decode()
    assert refused(service.register(service.ask("dev-1", key))) == (404, 404201)
    key = service.device("dev-1").keys.primary_b64
    assert refused(service.register(service.ask("dev-1", key, scope="0ne99999999"))) == (
        404,
        404201,
    )


def test_a_disabled_enrollment_is_a_200_without_an_operation() -> None:
    service = Service()
    key = service.device("dev-1", provisioningStatus="disabled").keys.primary_b64
    assert service.register(service.ask("dev-1", key)).document == {
        "operationId": "",
        "status": "disabled",
        "registrationState": {"registrationId": "dev-1", "status": "disabled"},
    }
    group = service.group(provisioningStatus="disabled")
    derived = sign(group.keys.primary_b64, "dev-2")
    assert service.register(service.ask("dev-2", derived)).document["status"] == "disabled"


def test_disabling_between_register_and_poll_ends_in_disabled() -> None:
    service = Service()
    request = service.ask("dev-1", service.device("dev-1").keys.primary_b64)
    answer = service.register(request)
    service.device("dev-1", provisioningStatus="disabled")
    assert service.finish(request, answer).document["status"] == "disabled"
    assert service.hubs["hub-a"].devices() == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{}",
        b'{"payload": null, "registrationId": "dev-1"}',
        b'{"registrationId": "DEV-1", "payload": {"model": 1}}',
    ],
)
def test_every_body_that_an_official_sdk_sends_is_taken(body: bytes) -> None:
    service = Service()
    key = service.device("dev-1").keys.primary_b64
    assert service.register(service.ask("dev-1", key, body)).status == 202


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b"\xff\xfe{",
        b"[" * 90_000,
        b'{"registrationId": "dev-2"}',
        b'{"registrationId": 7}',
        b'{"payload": [1]}',
    ],
)
def test_a_body_that_makes_no_sense_is_400(body: bytes) -> None:
    service = Service()
    key = service.device("dev-1").keys.primary_b64
    assert refused(service.register(service.ask("dev-1", key, body)))[0] == 400


@pytest.mark.parametrize("id", ["dev 1", "dev/1", "dev.", "ü", "a" * 129])
def test_an_id_that_dps_does_not_take_is_400004(id: str) -> None:
    service = Service()
    key = service.device("dev-1").keys.primary_b64
    assert refused(service.register(service.ask(id, key))) == (400, 400004)


def test_an_unknown_operation_and_that_of_another_device_are_404203() -> None:
    service = Service()
    one = service.ask("dev-1", service.device("dev-1").keys.primary_b64)
    two = service.ask("dev-2", service.device("dev-2").keys.primary_b64)
    operation = service.register(one).document["operationId"]
    assert refused(service.dps.poll(one, "5.nope", NOW)) == (404, 404203)
    assert refused(service.dps.poll(two, operation, NOW)) == (404, 404203)


def test_the_sixth_poll_in_ten_seconds_is_429_until_the_window_moves() -> None:
    service = Service(polls_before_assigned=100)
    request = service.ask("dev-1", service.device("dev-1").keys.primary_b64)
    other = service.ask("dev-2", service.device("dev-2").keys.primary_b64)
    operation = service.register(request).document["operationId"]
    assert [service.dps.poll(request, operation, NOW).status for _ in range(5)] == [202] * 5
    sixth = service.dps.poll(request, operation, NOW + 4)
    assert refused(sixth) == (429, 429001)
    assert sixth.retry_after_s is not None
    assert 6 <= sixth.retry_after_s <= 7
    theirs = service.register(other).document["operationId"]
    assert service.dps.poll(other, theirs, NOW + 4).status == 202
    assert service.dps.poll(request, operation, NOW + 4 + sixth.retry_after_s).status == 202


def test_registrations_are_metered_by_the_minute() -> None:
    service = Service(registrations_per_minute=3)
    request = service.ask("dev-1", service.device("dev-1").keys.primary_b64)
    statuses = [service.register(request).status for _ in range(4)]
    assert statuses == [202, 202, 202, 429]
    service.now_at += 60
    assert service.register(request).status == 202


def test_an_enrollment_for_a_hub_that_is_not_linked_fails_inside_a_200() -> None:
    service = Service()
    key = service.device("dev-1", iotHubs=["elsewhere"]).keys.primary_b64
    done = service.complete(service.ask("dev-1", key))
    assert done["status"] == done["registrationState"]["status"] == "failed"
    assert done["registrationState"]["errorCode"] == 400208
    assert "assignedHub" not in done["registrationState"]


def test_hashed_allocation_spreads_devices_and_repeats_itself() -> None:
    service = Service("hub-a", "hub-b", "hub-c")
    group = service.group()
    first = {}
    for number in range(40):
        id = f"dev-{number}"
        request = service.ask(id, sign(group.keys.primary_b64, id))
        first[id] = service.complete(request)["registrationState"]["assignedHub"]
        assert service.complete(request)["registrationState"]["assignedHub"] == first[id]
    assert set(first.values()) == {"hub-a", "hub-b", "hub-c"}


@pytest.mark.parametrize(
    ("policy", "hub", "substatus"),
    [
        ({}, "hub-b", "deviceDataMigrated"),
        ({"migrateDeviceData": False}, "hub-b", "deviceDataReset"),
        ({"updateHubAssignment": False}, "hub-a", "initialAssignment"),
    ],
)
def test_registering_again_follows_the_reprovision_policy(
    policy: dict[str, bool], hub: str, substatus: str
) -> None:
    service = Service("hub-a", "hub-b")
    static = {"allocationPolicy": "static", "reprovisionPolicy": policy}
    key = service.device("dev-1", iotHubs=["hub-a"], **static).keys.primary_b64
    request = service.ask("dev-1", key)
    before = service.complete(request)["registrationState"]
    service.device("dev-1", iotHubs=["hub-b"], **static)
    state = service.complete(request)["registrationState"]
    assert (state["assignedHub"], state["substatus"]) == (hub, substatus)
    assert state["createdDateTimeUtc"] == before["createdDateTimeUtc"]
    holders = [name for name, one in service.hubs.items() if one.devices()]
    assert holders == [hub]


def test_an_individual_enrollment_may_name_the_device() -> None:
    service = Service()
    key = service.device("dev-1", deviceId="Pump#7").keys.primary_b64
    assert service.complete(service.ask("dev-1", key))["registrationState"]["deviceId"] == "Pump#7"
    assert service.hubs["hub-a"].devices()[0].id == "Pump#7"


def test_no_answer_and_no_note_holds_a_key_or_a_token() -> None:
    service = Service()
    enrollment = service.device("dev-1")
    request = service.ask("dev-1", enrollment.keys.primary_b64)
    answers = [service.register(request), service.register(service.ask("dev-1", "AAAA"))]
    answers.append(service.finish(request, answers[0]))
    shown = json.dumps([[a.document, a.note] for a in answers]) + repr([enrollment, request])
    assert "SharedAccessSignature" not in shown
    for key in enrollment.keys:
        assert key not in shown


def test_a_later_poll_of_a_finished_operation_is_told_the_same_and_moves_nothing() -> None:
    service = Service("hub-a", "hub-b")
    key = service.device("dev-1", iotHubs=["hub-a"], allocationPolicy="static").keys.primary_b64
    request = service.ask("dev-1", key)
    first = service.register(request)
    done = service.finish(request, first)
    service.device("dev-1", iotHubs=["hub-b"], allocationPolicy="static")
    service.now_at += 3
    again = service.dps.poll(request, first.document["operationId"], service.now_at)
    assert again.document == done.document
    assert [device.id for device in service.hubs["hub-a"].devices()] == ["dev-1"]


def test_a_registration_under_way_has_a_record_that_says_so() -> None:
    service = Service()
    request = service.ask("dev-1", service.device("dev-1").keys.primary_b64)
    service.register(request)
    assert service.store.registrations["dev-1"].status == "assigning"
    service.complete(request)
    service.register(request)
    state = service.store.registrations["dev-1"]
    assert (state.status, state.hub, state.substatus) == (
        "assigning",
        "hub-a",
        "initialAssignment",
    )


@pytest.mark.parametrize("payload", ["[]", "0", '""', "false"])
def test_a_payload_that_is_no_object_is_400_though_it_is_empty(payload: str) -> None:
    service = Service()
    key = service.device("dev-1").keys.primary_b64
    body = b'{"payload": %s}' % payload.encode()
    assert refused(service.register(service.ask("dev-1", key, body))) == (400, 400000)


@pytest.mark.parametrize(
    "version",
    ["2026-07-01-preview", "2026-11-01", "2026-11-02-preview", "2026-11-15-preview"],
)
def test_the_newest_api_versions_are_known(version: str) -> None:
    assert version in API_VERSIONS


def test_static_allocation_takes_the_first_hub_for_every_device() -> None:
    service = Service("hub-a", "hub-b")
    group = service.group(allocationPolicy="static", iotHubs=["hub-b", "hub-a"])
    for id in (f"dev-{number}" for number in range(8)):
        done = service.complete(service.ask(id, sign(group.keys.primary_b64, id)))
        assert done["registrationState"]["assignedHub"] == "hub-b"


def test_an_enabled_group_goes_before_a_disabled_one_with_the_same_key() -> None:
    service = Service()
    keys = service.group("a-closed", provisioningStatus="disabled").attestation_mechanism()
    service.group("b-open", attestation=keys)
    primary = keys["symmetricKey"]["primaryKey"]
    done = service.complete(service.ask("dev-1", sign(primary, "dev-1")))
    assert done["status"] == "assigned"


def test_the_oldest_operation_is_forgotten_beyond_the_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("firstlight.emulator.dps.store._MAX_OPERATIONS", 2)
    service = Service()
    request = service.ask("dev-1", service.device("dev-1").keys.primary_b64)
    first, *_, last = [service.register(request).document["operationId"] for _ in range(3)]
    assert refused(service.dps.poll(request, first, NOW)) == (404, 404203)
    assert service.dps.poll(request, last, NOW).status == 202
