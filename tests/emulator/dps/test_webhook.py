"""Custom allocation without HTTP: what a webhook is asked, and what its answers lead to."""

import json
from typing import Any

import pytest

from tests.emulator.dps.provisioning import HOOK, NOW, Service, refused

MIGRATE = {"updateHubAssignment": True, "migrateDeviceData": True}
RESET = {"updateHubAssignment": True, "migrateDeviceData": False}
NEVER = {"updateHubAssignment": False, "migrateDeviceData": False}


def asked(service: Service) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(service.calls[0].body)
    return found


def answer(hub: str = "hub-b", **more: Any) -> bytes:
    return json.dumps({"iotHubHostName": hub, **more}).encode()


def test_a_registration_is_assigning_until_its_webhook_answers() -> None:
    service = Service("hub-a", "hub-b", polls_before_assigned=0)
    request = service.own(service.custom())
    first = service.register(request)
    operation = first.document["operationId"]
    assert first.status == 202
    assert service.dps.poll(request, operation, NOW).status == 202
    assert service.dps.lookup(request, NOW).document["status"] == "assigning"
    assert service.devices("hub-b") == []
    service.answer_webhook(answer())
    done = service.dps.poll(request, operation, NOW)
    assert done.document["registrationState"]["assignedHub"] == "hub-b"
    assert [device.id for device in service.devices("hub-b")] == ["dev-1"]


def test_the_request_is_as_azure_documents_it() -> None:
    service = Service("hub-a", "hub-b")
    key = service.custom(iotHubs=["hub-b", "hub-a"]).keys.primary_b64
    service.register(service.ask("dev-1", key, b'{"payload": {"model": 7}}'))
    document = asked(service)
    assert set(document) == {"individualEnrollment", "deviceRuntimeContext", "linkedHubs"}
    assert document["linkedHubs"] == ["hub-b", "hub-a"]
    assert document["deviceRuntimeContext"] == {
        "registrationId": "dev-1",
        "symmetricKey": {},
        "payload": {"model": 7},
    }
    shown = document["individualEnrollment"]
    assert shown["attestation"] == {"type": "symmetricKey"}
    assert shown["etag"].startswith('"')
    url = shown["customAllocationDefinition"]["webhookUrl"]
    assert url == HOOK.partition("?")[0] + "?****"
    assert service.calls[0].url == HOOK


def test_a_device_of_a_group_is_shown_with_its_group_and_its_present_hub() -> None:
    service = Service("hub-a", "hub-b")
    custom = {"webhookUrl": HOOK, "apiVersion": "2021-10-01"}
    group = service.group(allocationPolicy="custom", customAllocationDefinition=custom)
    request = service.member("dev-1", group)
    service.register(request)
    assert "currentIotHubHostName" not in asked(service)["deviceRuntimeContext"]
    service.answer_webhook(answer("hub-a"))
    service.register(request)
    document = asked(service)
    assert document["enrollmentGroup"]["enrollmentGroupId"] == "fleet"
    context = document["deviceRuntimeContext"]
    assert (context["currentIotHubHostName"], context["currentDeviceId"]) == ("hub-a", "dev-1")


def test_neither_key_nor_webhooks_secret_is_in_what_is_sent_or_shown() -> None:
    service = Service("hub-a", "hub-b")
    enrollment = service.custom()
    service.register(service.own(enrollment))
    shown = (
        service.calls[0].body.decode() + repr(service.calls) + json.dumps(enrollment.document())
    )
    assert "secret-code" not in shown
    assert not any(key in shown for key in enrollment.keys)


def test_the_payload_of_the_answer_reaches_the_device() -> None:
    service = Service("hub-a", "hub-b")
    request = service.own(service.custom())
    first = service.register(request)
    service.answer_webhook(answer(payload={"endpoint": "coap"}))
    state = service.finish(request, first).document["registrationState"]
    assert state["payload"] == {"endpoint": "coap"}
    assert service.dps.lookup(request, NOW).document["payload"] == {"endpoint": "coap"}


@pytest.mark.parametrize(
    ("policy", "tags", "substatus"),
    [
        (MIGRATE, {"first": True}, "deviceDataMigrated"),
        (RESET, {"second": True}, "deviceDataReset"),
    ],
)
def test_a_returned_initial_twin_counts_at_first_and_when_the_device_is_reset(
    policy: Any, tags: Any, substatus: str
) -> None:
    service = Service("hub-a", "hub-b")
    enrollment = service.custom(initialTwin={"tags": {"own": 1}}, reprovisionPolicy=policy)
    request = service.own(enrollment)
    first = service.register(request)
    service.answer_webhook(answer("hub-a", initialTwin={"tags": {"first": True}}))
    service.finish(request, first)
    second = service.register(request)
    service.answer_webhook(answer("hub-b", initialTwin={"tags": {"second": True}}))
    state = service.finish(request, second).document["registrationState"]
    assert state["substatus"] == substatus
    assert service.devices("hub-b")[0].twin.tags == tags


def test_without_one_the_enrollments_initial_twin_counts() -> None:
    service = Service("hub-a", "hub-b")
    service.register(service.own(service.custom(initialTwin={"tags": {"own": 1}})))
    service.answer_webhook(answer(initialTwin=None))
    assert service.devices("hub-b")[0].twin.tags == {"own": 1}


@pytest.mark.parametrize(
    ("status", "body", "code", "message"),
    [
        (400, b"no", 400207, "Custom allocation failed with status code: 400"),
        (500, b"", 400207, "Custom allocation failed with status code: 500"),
        (502, b"", 400207, "Custom allocation failed with status code: 502"),
        (504, b"", 400207, "Custom allocation failed with status code: 504"),
        (302, b"", 400207, "Custom allocation failed with status code: 302"),
        (200, b"{", 400207, "JSON"),
        (200, b"[]", 400207, "object"),
        (200, answer(payload=[1]), 400207, "payload"),
        (200, answer(initialTwin=[1]), 400207, "initialTwin"),
        (200, answer(initialTwin={"properties": {"desired": 1}}), 400207, "desired"),
        (200, answer(initialTwin={"tags": {"a b": 1}}), 400004, "tags"),
        (200, b"{}", 400208, "no iotHubHostName"),
        (200, answer("elsewhere"), 400208, "not a linked one"),
        (200, b'{"iotHubHostName": 7}', 400208, "no iotHubHostName"),
    ],
)
def test_an_answer_that_cannot_be_followed_fails_the_registration(
    status: int, body: bytes, code: int, message: str
) -> None:
    service = Service("hub-a", "hub-b")
    request = service.own(service.custom())
    first = service.register(request)
    service.answer_webhook(body, status)
    done = service.finish(request, first)
    state = done.document["registrationState"]
    assert (done.status, done.document["status"], state["status"]) == (200, "failed", "failed")
    assert state["errorCode"] == code
    assert message in state["errorMessage"]
    assert service.devices("hub-a") == service.devices("hub-b") == []


@pytest.mark.parametrize("hub", ["hub-a", "hub-b"])
def test_a_device_that_never_moves_stays_whatever_the_webhook_says(hub: str) -> None:
    service = Service("hub-a", "hub-b")
    request = service.own(service.custom(reprovisionPolicy=NEVER))
    service.register(request)
    assert asked(service)["linkedHubs"] == ["hub-a", "hub-b"]
    service.answer_webhook(answer("hub-b"))
    again = service.register(request)
    assert asked(service)["linkedHubs"] == ["hub-b"]
    service.answer_webhook(answer(hub, payload={"seen": 2}))
    state = service.finish(request, again).document["registrationState"]
    assert (state["assignedHub"], state["payload"]) == ("hub-b", {"seen": 2})
    assert state["substatus"] == "initialAssignment"
    assert service.devices("hub-a") == []
    assert [device.id for device in service.devices("hub-b")] == ["dev-1"]


def test_a_hub_that_is_not_linked_is_wrong_even_for_a_device_that_never_moves() -> None:
    service = Service("hub-a", "hub-b")
    request = service.own(service.custom(reprovisionPolicy=NEVER, iotHubs=["hub-b"]))
    service.register(request)
    service.answer_webhook(answer("hub-b"))
    again = service.register(request)
    service.answer_webhook(answer("hub-a"))
    assert service.finish(request, again).document["registrationState"]["errorCode"] == 400208
    assert [device.id for device in service.devices("hub-b")] == ["dev-1"]


def test_an_enrollment_that_changes_meanwhile_is_minded() -> None:
    service = Service("hub-a", "hub-b")
    request = service.own(service.custom())
    service.register(request)
    service.custom(provisioningStatus="disabled")
    service.answer_webhook(answer())
    assert service.devices("hub-b") == []
    service.custom()
    operation = service.register(request).document["operationId"]
    service.store.individuals.remove("dev-1")
    service.answer_webhook(answer())
    assert service.devices("hub-b") == []
    assert service.store.operation(operation) is None
    assert service.store.unfinished() == []


def test_an_answer_to_nothing_and_a_second_answer_change_nothing() -> None:
    service = Service("hub-a", "hub-b")
    request = service.own(service.custom())
    service.register(request)
    call = service.calls[0]
    assert service.dps.webhook_answered("5.nope", 200, answer(), NOW) is None
    assert service.dps.webhook_answered(call.operation_id, 200, answer("hub-a"), NOW) == (
        "dev-1",
        "registered -> hub-a",
    )
    assert service.dps.webhook_answered(call.operation_id, 200, answer("hub-b"), NOW) is None
    assert [device.id for device in service.devices("hub-a")] == ["dev-1"]


def test_only_so_many_registrations_wait_for_a_webhook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("firstlight.emulator.dps.service._MAX_WAITING", 2)
    service = Service("hub-a", "hub-b")
    request = service.own(service.custom())
    statuses = [service.register(request).status for _ in range(3)]
    assert statuses == [202, 202, 429]
    assert refused(service.register(request)) == (429, 429001)
    service.answer_webhook(answer())
    assert service.register(request).status == 202


def test_without_anything_that_asks_webhooks_the_registration_fails() -> None:
    service = Service()
    service.dps.ask = None
    state = service.state(service.own(service.custom()))
    assert state["errorMessage"] == "Custom allocation failed with status code: 502"
