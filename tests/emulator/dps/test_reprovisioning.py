"""A device that registers again: which hub, which data, which substatus (protocol.md 3.1)."""

from typing import Any

import pytest

from firstlight.emulator.answers import Refusal
from tests.emulator.dps.provisioning import NOW, Service

MIGRATE = {"updateHubAssignment": True, "migrateDeviceData": True}
RESET = {"updateHubAssignment": True, "migrateDeviceData": False}
NEVER = {"updateHubAssignment": False, "migrateDeviceData": True}
TWIN = {"tags": {"made": "by DPS"}, "properties": {"desired": {"period_s": 60}}}


def moved(service: Service, policy: Any, **more: Any) -> dict[str, Any]:
    """Register at hub-a, report something, and register again when the enrollment says hub-b."""
    common = {"allocationPolicy": "static", "initialTwin": TWIN, "reprovisionPolicy": policy}
    first = service.device("dev-1", iotHubs=["hub-a"], **common)
    assert service.state(service.own(first))["substatus"] == "initialAssignment"
    service.hubs["hub-a"].registry.all()[0].twin.patch_reported({"seen": 1}, NOW)
    second = service.device("dev-1", iotHubs=["hub-b"], **common)
    return service.state(service.own(second, **more))


def holders(service: Service) -> list[str]:
    return [name for name in service.hubs if service.devices(name)]


@pytest.mark.parametrize("policy", [MIGRATE, None, {}])
def test_by_default_a_device_moves_with_all_its_data(policy: Any) -> None:
    service = Service("hub-a", "hub-b")
    state = moved(service, policy)
    assert (state["assignedHub"], state["substatus"]) == ("hub-b", "deviceDataMigrated")
    assert holders(service) == ["hub-b"]
    (device,) = service.devices("hub-b")
    assert device.twin.reported.values == {"seen": 1}
    assert device.twin.tags == TWIN["tags"]


def test_a_reset_moves_the_device_and_starts_it_anew() -> None:
    service = Service("hub-a", "hub-b")
    state = moved(service, RESET)
    assert (state["assignedHub"], state["substatus"]) == ("hub-b", "deviceDataReset")
    assert holders(service) == ["hub-b"]
    (device,) = service.devices("hub-b")
    assert device.twin.reported.values == {}
    assert device.twin.desired.values == {"period_s": 60}


@pytest.mark.parametrize(
    ("rule", "substatus"),
    [("keep", "initialAssignment"), ("again", "reprovisionedToInitialAssignment")],
)
def test_never_to_reprovision_leaves_the_device_where_it_is(rule: str, substatus: str) -> None:
    service = Service("hub-a", "hub-b", never_substatus=rule)
    state = moved(service, NEVER)
    assert (state["assignedHub"], state["substatus"]) == ("hub-a", substatus)
    assert holders(service) == ["hub-a"]
    assert service.devices("hub-a")[0].twin.reported.values == {"seen": 1}


@pytest.mark.parametrize(
    ("version", "policy", "hub"),
    [
        ("2018-04-01", None, "hub-a"),
        ("2018-04-01", MIGRATE, "hub-b"),
        ("2018-09-01-preview", None, "hub-b"),
        ("2019-03-31", None, "hub-b"),
    ],
)
def test_without_a_policy_an_old_api_version_never_moves(
    version: str, policy: Any, hub: str
) -> None:
    service = Service("hub-a", "hub-b")
    assert moved(service, policy, api_version=version)["assignedHub"] == hub


@pytest.mark.parametrize("policy", [MIGRATE, RESET])
def test_the_same_hub_again_keeps_the_data_and_says_so(policy: Any) -> None:
    service = Service()
    request = service.own(service.device("dev-1", initialTwin=TWIN, reprovisionPolicy=policy))
    service.state(request)
    service.devices()[0].twin.patch_reported({"seen": 1}, NOW)
    state = service.state(request)
    assert state["substatus"] == "reprovisionedToInitialAssignment"
    assert service.devices()[0].twin.reported.values == {"seen": 1}


def test_a_reset_at_the_same_hub_can_be_one() -> None:
    service = Service(reset_on_same_hub=True)
    request = service.own(service.device("dev-1", initialTwin=TWIN, reprovisionPolicy=RESET))
    service.state(request)
    service.devices()[0].twin.patch({"made": "by hand"}, None, NOW)
    service.devices()[0].twin.patch_reported({"seen": 1}, NOW)
    assert service.state(request)["substatus"] == "reprovisionedToInitialAssignment"
    (device,) = service.devices()
    assert (device.twin.reported.values, device.twin.tags) == ({}, TWIN["tags"])


def test_a_device_that_was_deleted_from_its_hub_is_created_again() -> None:
    service = Service("hub-a", "hub-b")
    request = service.own(service.device("dev-1", iotHubs=["hub-a"], initialTwin=TWIN))
    service.state(request)
    service.hubs["hub-a"].remove_device("dev-1")
    assert service.state(request)["assignedHub"] == "hub-a"
    assert service.devices()[0].twin.tags == TWIN["tags"]
    service.hubs["hub-a"].remove_device("dev-1")
    again = service.device("dev-1", iotHubs=["hub-b"], initialTwin=TWIN)
    assert service.state(service.own(again))["assignedHub"] == "hub-b"
    assert service.devices("hub-b")[0].twin.tags == TWIN["tags"]


def test_a_migrated_device_keeps_its_id_and_a_reset_one_takes_the_enrollments() -> None:
    for policy, expected in ((MIGRATE, "first"), (RESET, "second")):
        service = Service("hub-a", "hub-b")
        common = {"allocationPolicy": "static", "reprovisionPolicy": policy}
        one = service.device("dev-1", iotHubs=["hub-a"], deviceId="first", **common)
        service.state(service.own(one))
        two = service.device("dev-1", iotHubs=["hub-b"], deviceId="second", **common)
        assert service.state(service.own(two))["deviceId"] == expected
        assert [device.id for device in service.devices("hub-b")] == [expected]


@pytest.mark.parametrize("policy", [MIGRATE, RESET])
def test_nothing_is_lost_when_the_new_hub_says_no(
    policy: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = Service("hub-a", "hub-b")
    removed: list[str] = []

    def refuse(*_: Any) -> Any:
        raise Refusal(403, 413002, "full")

    monkeypatch.setattr(service.hubs["hub-b"].registry, "create", refuse)
    monkeypatch.setattr(service.hubs["hub-a"], "remove_device", removed.append)
    state = moved(service, policy)
    assert (state["status"], state["errorCode"]) == ("failed", 413002)
    assert "assignedHub" not in state
    assert removed == []  # its connection and its messages would be gone as well
    assert holders(service) == ["hub-a"]
    assert service.devices("hub-a")[0].twin.reported.values == {"seen": 1}


@pytest.mark.parametrize("hub", ["hub-a", "hub-b"])
def test_a_device_keeps_its_capabilities_wherever_it_is_next(hub: str) -> None:
    service = Service("hub-a", "hub-b")
    common: dict[str, Any] = {"allocationPolicy": "static"}
    edge = {"iotEdge": True}
    first = service.device("dev-1", iotHubs=["hub-a"], capabilities=edge, **common)
    service.state(service.own(first))
    service.state(service.own(service.device("dev-1", iotHubs=[hub], **common)))
    (device,) = service.devices(hub)
    assert device.edge


def test_after_a_failure_the_device_is_still_known_to_be_where_it_is() -> None:
    service = Service("hub-a", "hub-b")
    common: dict[str, Any] = {"allocationPolicy": "static"}
    service.state(service.own(service.device("dev-1", iotHubs=["hub-a"], **common)))
    lost = service.device("dev-1", iotHubs=["elsewhere"], **common)
    assert service.state(service.own(lost))["errorCode"] == 400208
    found = service.device("dev-1", iotHubs=["hub-b"], **common)
    assert service.state(service.own(found))["substatus"] == "deviceDataMigrated"
    assert holders(service) == ["hub-b"]


def test_an_assignment_to_a_hub_that_is_gone_is_no_assignment() -> None:
    service = Service("hub-a", "hub-b")
    first = service.device("dev-1", iotHubs=["hub-a"], reprovisionPolicy=NEVER)
    service.state(service.own(first))
    del service.hubs["hub-a"]
    second = service.device("dev-1", reprovisionPolicy=NEVER)
    state = service.state(service.own(second))
    assert (state["assignedHub"], state["substatus"]) == ("hub-b", "initialAssignment")


@pytest.mark.parametrize("is_kept", [True, False])
def test_whether_a_registration_made_again_is_as_old_as_the_first(is_kept: bool) -> None:
    service = Service(keep_created=is_kept)
    request = service.own(service.device("dev-1"))
    first, again = service.state(request), service.state(request)
    assert (first["createdDateTimeUtc"] == again["createdDateTimeUtc"]) is is_kept
    assert first["etag"] != again["etag"]
