"""Which hub: hashed, static, lowest latency. The webhook's: test_webhook.py."""

import pytest

from tests.emulator.dps.provisioning import Service
from tests.emulator.peers import sign


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


def test_static_allocation_takes_the_first_hub_for_every_device() -> None:
    service = Service("hub-a", "hub-b")
    group = service.group(allocationPolicy="static", iotHubs=["hub-b", "hub-a"])
    for id in (f"dev-{number}" for number in range(8)):
        done = service.complete(service.ask(id, sign(group.keys.primary_b64, id)))
        assert done["registrationState"]["assignedHub"] == "hub-b"


def test_one_more_hub_moves_only_the_devices_that_it_gets() -> None:
    before, after = Service("hub-a", "hub-b"), Service("hub-a", "hub-b", "hub-c")
    moved = set()
    for number in range(60):
        id = f"dev-{number}"
        hubs = [one.state(one.own(one.device(id)))["assignedHub"] for one in (before, after)]
        if hubs[0] != hubs[1]:
            moved.add(hubs[1])
    assert moved == {"hub-c"}


def test_hashed_allocation_is_even() -> None:
    service = Service("hub-a", "hub-b", "hub-c", registrations_per_minute=None)
    group = service.group()
    found = [service.state(service.member(f"dev-{n}", group))["assignedHub"] for n in range(300)]
    assert all(70 <= found.count(hub) <= 130 for hub in service.hubs)


def test_lowest_latency_takes_the_nearest_and_hashes_among_equals() -> None:
    latencies = {"hub-a": 80.0, "hub-b": 20.0, "hub-c": 20.0}
    service = Service("hub-a", "hub-b", "hub-c", "hub-d", latencies_ms=latencies)
    group = service.group(allocationPolicy="geoLatency")
    found = {service.state(service.member(f"dev-{n}", group))["assignedHub"] for n in range(30)}
    assert found == {"hub-b", "hub-c"}


def test_a_device_may_have_latencies_of_its_own() -> None:
    service = Service(
        "hub-a",
        "hub-b",
        latencies_ms={"hub-a": 10.0, "hub-b": 20.0},
        device_latencies_ms={"dev-7": {"hub-b": 5.0}},
    )
    group = service.group(allocationPolicy="geoLatency")
    assert [
        service.state(service.member(id, group))["assignedHub"]
        for id in ("dev-1", "DEV-7".lower())
    ] == ["hub-a", "hub-b"]


@pytest.mark.parametrize("policy", ["hashed", "static", "geoLatency"])
def test_an_enrollment_restricts_the_hubs_in_every_policy(policy: str) -> None:
    service = Service("hub-a", "hub-b", "hub-c")
    group = service.group(allocationPolicy=policy, iotHubs=["hub-b"])
    found = {service.state(service.member(f"dev-{n}", group))["assignedHub"] for n in range(10)}
    assert found == {"hub-b"}


def test_the_older_form_of_one_hub_is_taken_as_well() -> None:
    service = Service("hub-a", "hub-b", "hub-c")
    enrollment = service.device("dev-1", iotHubHostName="hub-c")
    assert service.state(service.own(enrollment))["assignedHub"] == "hub-c"
