"""Units and groups that may register no longer, and again: at the local Azure's service API."""

import json
from pathlib import Path

import pytest

from firstlight import access, azure
from firstlight.emulator.running import RunningAzure
from firstlight.errors import ServiceError, UsageError
from tests.host.enrolling import Call, call, kept, local, registers, service, told

__all__ = ("call", "local", "service")  # fixtures


def test_one_unit_of_a_group_is_kept_out_and_let_in_again(
    local: RunningAzure, call: Call, tmp_path: Path
) -> None:
    hub = kept(tmp_path / "hub.txt", local.hub_connection_string())
    host = next(iter(local.local.hubs))
    group = local.enroll_group("line-7")
    assert group.keys is not None
    first, second = (local.device_key(name, group) for name in ("unit-a", "unit-b"))
    assert registers(local, "unit-a", first) == registers(local, "unit-b", second) == "assigned"
    said = told(call("revoke", "unit-a"))
    assert "kept out of its group" in said
    assert f"assigned to {host}: the hub still knows it" in said
    assert registers(local, "unit-a", first) == "401"
    assert registers(local, "unit-b", second) == "assigned"
    listed = told(call("list", "units", "line-7"))
    assert "unit-b,assigned" in listed
    assert "unit-a" not in listed
    said = told(call("revoke", "unit-a", "--hub-connection", hub))
    assert f"disabled in the registry of {host} as unit-a" in said
    assert not is_enabled(local, "unit-a")
    assert is_enabled(local, "unit-b")
    refused = call("revoke", "unit-a", "--delete")
    assert isinstance(refused.exception, UsageError)
    said = told(call("enable", "device", "unit-a", "--hub-connection", hub))
    assert "may register in its group again" in said
    assert is_enabled(local, "unit-a")
    assert registers(local, "unit-a", first) == "assigned"
    source = kept(tmp_path / "group.key", group.keys.primary_b64)
    told(call("revoke", "unit-a", "--group-key", source))
    assert registers(local, "unit-a", first) == "disabled"


def is_enabled(local: RunningAzure, device_id: str) -> bool:
    def look(azure: object) -> bool:
        device = next(iter(local.local.hubs.values())).registry.get(device_id)
        assert device is not None
        return device.enabled

    return local.call(look)


def test_a_group_is_disabled_for_all_of_it_and_keeps_its_keys(
    local: RunningAzure, call: Call, service: azure.Service
) -> None:
    group = local.enroll_group("line-8")
    before = service.key_pair("enrollmentGroups", "line-8")
    said = told(call("disable", "group", "line-8"))
    assert "line-8 is disabled" in said
    assert "stay in their hubs" in said
    assert registers(local, "unit-c", local.device_key("unit-c", group)) == "disabled"
    told(call("enable", "group", "line-8"))
    assert service.key_pair("enrollmentGroups", "line-8") == before
    assert registers(local, "unit-c", local.device_key("unit-c", group)) == "assigned"
    assert isinstance(call("disable", "group", "nobody").exception, UsageError)


def test_a_unit_with_an_enrollment_of_its_own_is_disabled_or_deleted(
    local: RunningAzure, call: Call, tmp_path: Path
) -> None:
    own = local.enroll_device("solo")
    assert own.keys is not None
    assert registers(local, "solo", own.keys.primary_b64) == "assigned"
    assert "solo is disabled" in told(call("revoke", "solo"))
    assert registers(local, "solo", own.keys.primary_b64) == "disabled"
    other = local.hub_connection_string().replace("HostName=localhost", "HostName=127.0.0.1")
    wrong = call("revoke", "solo", "--delete", "--hub-connection", kept(tmp_path / "x", other))
    assert "and the connection string is 127.0.0.1's" in str(wrong.exception)  # nothing is deleted
    assert "is deleted" in told(call("revoke", "solo", "--delete"))
    assert registers(local, "solo", own.keys.primary_b64) in ("401", "404")
    assert isinstance(call("revoke", "solo", "--delete").exception, UsageError)
    assert "knows no registration of it: is that its id?" in told(call("revoke", "sloo"))


def test_nobodys_change_is_lost(local: RunningAzure, service: azure.Service) -> None:
    local.enroll_device("shared")
    mine = service.find("enrollments", "shared")
    assert mine is not None
    access.switch(service, "enrollments", "shared", False)
    with pytest.raises(ServiceError, match="changed by somebody else") as caught:
        service.replace("enrollments", "shared", mine)
    assert caught.value.status == 412
    now = service.find("enrollments", "shared")
    assert now is not None
    assert now["provisioningStatus"] == "disabled"


def test_every_page_of_a_list_is_read_and_no_key_shown(
    local: RunningAzure, call: Call, service: azure.Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(azure, "_PAGE", 2)
    for n in range(5):
        local.enroll_device(f"page-{n}")
    lines = told(call("list", "device")).splitlines()
    assert lines[0].startswith("id,provisioningStatus,attestation,")
    assert {f"page-{n}" for n in range(5)} <= {line.partition(",")[0] for line in lines}
    documents = told(call("list", "device", "--format", "json"))
    assert {json.loads(line)["registrationId"] for line in documents.splitlines()} >= {"page-4"}
    assert service.key_pair("enrollments", "page-4")[0] not in documents
    monkeypatch.setattr(azure, "_MOST_PAGES", 1)
    with pytest.raises(ServiceError, match="do not end"):
        list(service.each("enrollments"))
