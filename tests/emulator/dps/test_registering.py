"""Registering and polling without any server: protocol.md 2, case by case."""

import base64
import json
import re
from functools import partial

import pytest

from firstlight.emulator.answers import Refusal
from firstlight.emulator.dps.metering import DeviceWindows, Window
from firstlight.emulator.dps.service import API_VERSIONS
from firstlight.emulator.hub.credential import by_keys
from tests.emulator.dps.provisioning import NOW, Service, refused
from tests.emulator.peers import sign


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
    assert key in list(service.devices()[0].keys)


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
        b'{"payload": ' + b'{"a": ' * 64 + b"1" + b"}" * 65,
        b'{"registrationId": "dev-2"}',
        b'{"registrationId": 7}',
        b'{"payload": [1]}',
    ],
)
def test_a_body_that_makes_no_sense_is_400(body: bytes) -> None:
    service = Service()
    key = service.device("dev-1").keys.primary_b64
    assert refused(service.register(service.ask("dev-1", key, body)))[0] == 400


@pytest.mark.parametrize("payload", ["[]", "0", '""', "false"])
def test_a_payload_that_is_no_object_is_400_though_it_is_empty(payload: str) -> None:
    service = Service()
    key = service.device("dev-1").keys.primary_b64
    body = b'{"payload": %s}' % payload.encode()
    assert refused(service.register(service.ask("dev-1", key, body))) == (400, 400000)


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


def test_an_individual_enrollment_may_name_the_device() -> None:
    service = Service()
    key = service.device("dev-1", deviceId="Pump#7").keys.primary_b64
    assert service.complete(service.ask("dev-1", key))["registrationState"]["deviceId"] == "Pump#7"
    assert service.devices()[0].id == "Pump#7"


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
    assert [device.id for device in service.devices()] == ["dev-1"]


@pytest.mark.parametrize(
    "version",
    ["2026-07-01-preview", "2026-11-01", "2026-11-02-preview", "2026-11-15-preview"],
)
def test_the_newest_api_versions_are_known(version: str) -> None:
    assert version in API_VERSIONS


def test_the_oldest_operation_is_forgotten_beyond_the_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("firstlight.emulator.dps.store._MAX_OPERATIONS", 2)
    service = Service()
    request = service.ask("dev-1", service.device("dev-1").keys.primary_b64)
    first, *_, last = [service.register(request).document["operationId"] for _ in range(3)]
    assert refused(service.dps.poll(request, first, NOW)) == (404, 404203)
    assert service.dps.poll(request, last, NOW).status == 202


def test_a_registration_is_settled_when_it_is_made_and_polls_only_show_it() -> None:
    service = Service(polls_before_assigned=3)
    request = service.own(service.device("dev-1"))
    service.register(request)
    assert [device.id for device in service.devices()] == ["dev-1"]
    assert service.dps.lookup(request, service.now_at).document["status"] == "assigned"


def test_disabling_between_register_and_poll_is_told_at_the_poll() -> None:
    service = Service()
    request = service.own(service.device("dev-1"))
    answer = service.register(request)
    service.device("dev-1", provisioningStatus="disabled")
    assert service.finish(request, answer).document["status"] == "disabled"


def test_a_group_that_is_deleted_between_register_and_poll_is_a_refusal_at_the_poll() -> None:
    service = Service()
    request = service.member("dev-1", service.group())
    operation = service.register(request).document["operationId"]
    service.store.groups.remove("fleet")
    assert refused(service.dps.poll(request, operation, NOW)) == (404, 404201)


def test_unknown_fields_are_not_minded_and_a_csr_is() -> None:
    service = Service()
    key = service.device("dev-1").keys.primary_b64
    assert service.register(service.ask("dev-1", key, b'{"new": [1]}')).status == 202
    asked = service.ask("dev-1", key, b'{"csr": "AAAA"}')
    assert refused(service.register(asked)) == (400, 400000)
    assert refused(service.dps.lookup(asked, NOW)) == (400, 400000)


def test_a_registration_id_in_the_body_that_is_another_has_a_code_of_its_own() -> None:
    service = Service(mismatch_code=400004)
    key = service.device("dev-1").keys.primary_b64
    asked = service.ask("dev-1", key, b'{"registrationId": "dev-2"}')
    assert refused(service.register(asked)) == (400, 400004)


def test_no_limits_are_no_limits() -> None:
    service = Service(registrations_per_minute=None, polls_per_10_s=None, polls_before_assigned=0)
    request = service.own(service.device("dev-1"))
    answers = [service.register(request) for _ in range(1200)]
    assert {answer.status for answer in answers} == {202}
    operation = answers[-1].document["operationId"]
    assert {service.dps.poll(request, operation, NOW).status for _ in range(20)} == {200}


def test_a_device_that_polled_long_ago_takes_no_room_in_the_metering() -> None:
    service = Service()
    for number in range(30):
        request = service.own(service.device(f"dev-{number}"))
        operation = service.register(request).document["operationId"]
        service.dps.poll(request, operation, service.now_at)
        service.now_at += 1
    assert len(service.dps._polls) <= 11


def test_a_device_that_goes_on_polling_keeps_no_other_in_the_metering() -> None:
    windows = DeviceWindows(5, 10.0)
    for id, at in (("busy", 0.0), ("gone", 1.0), ("busy", 8.0), ("new", 12.0)):
        windows.admit(id, at)
    assert len(windows) == 2


def test_a_clock_that_is_set_back_throttles_nobody() -> None:
    for meter in (Window(2, 60.0).admit, partial(DeviceWindows(2, 60.0).admit, "dev-1")):
        for at in (5000.0, 5001.0, 1000.0, 1001.0):
            meter(at)
        with pytest.raises(Refusal):
            meter(1002.0)


def test_a_lookup_of_a_disabled_device_says_so_though_it_never_registered() -> None:
    service = Service()
    request = service.own(service.device("dev-1", provisioningStatus="disabled"))
    answer = service.dps.lookup(request, NOW)
    assert (answer.status, answer.document["status"]) == (200, "disabled")


def test_a_lookup_tells_the_present_state_without_registering() -> None:
    service = Service()
    enrollment = service.device("dev-1")
    request = service.own(enrollment)
    assert refused(service.dps.lookup(request, NOW)) == (404, 404201)
    state = service.state(request)
    answer = service.dps.lookup(request, NOW)
    assert (answer.status, answer.document) == (200, state)
    service.device("dev-1", provisioningStatus="disabled")
    shown = service.dps.lookup(request, NOW).document
    assert shown == {"registrationId": "dev-1", "status": "disabled"}


def test_an_edge_device_and_its_initial_twin_arrive_at_the_hub() -> None:
    service = Service()
    twin = {"tags": {"site": "a"}, "properties": {"desired": {"period_s": 60}}}
    service.state(
        service.own(service.device("dev-1", initialTwin=twin, capabilities={"iotEdge": True}))
    )
    (device,) = service.devices()
    assert device.edge
    assert device.twin.tags == {"site": "a"}
    assert device.twin.desired.values == {"period_s": 60}


def test_an_initial_twin_that_the_hub_does_not_take_fails_the_registration() -> None:
    service = Service()
    twin = {"tags": {"a": "x" * 4000, "b": "x" * 4000, "c": "x" * 4000}}
    state = service.state(service.own(service.device("dev-1", initialTwin=twin)))
    assert (state["status"], state["errorCode"]) == ("failed", 413001)
    assert service.devices() == []


def test_a_device_that_is_in_the_hub_already_gets_the_keys_of_its_enrollment() -> None:
    service = Service()
    enrollment = service.device("dev-1")
    service.hubs["hub-a"].put_device("dev-1", by_keys(service.device("dev-2").keys), NOW)
    service.state(service.own(enrollment))
    assert service.devices()[0].keys == enrollment.keys


def test_a_payload_of_sixty_levels_is_taken() -> None:
    service = Service()
    body = b'{"payload": ' + b'{"a": ' * 63 + b"1" + b"}" * 64
    key = service.device("dev-1").keys.primary_b64
    assert service.register(service.ask("dev-1", key, body)).status == 202
