"""What DPS keeps in a journal, and what it does with it after a restart."""

import json
from pathlib import Path

import pytest

from firstlight.emulator.answers import Refusal
from firstlight.emulator.dps.reading import Fresh, read_enrollment
from firstlight.emulator.dps.records import EnrollmentGroup
from firstlight.emulator.dps.store import Shelf, Store
from firstlight.emulator.state import SqliteJournal
from tests.emulator.dps.provisioning import NOW, Service
from tests.emulator.dps.test_webhook import answer

TWIN = {"tags": {"a": 1}, "properties": {"desired": {"b": {"c": None}}}}


def restarted(path: Path, journal: SqliteJournal) -> SqliteJournal:
    journal.commit()
    journal.close()
    return SqliteJournal(path)


def test_everything_outlives_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "state"
    journal = SqliteJournal(path)
    before = Service("hub-a", journal=journal)
    policy = {"updateHubAssignment": False, "migrateDeviceData": True}
    group = before.group(iotHubs=["hub-a"], initialTwin=TWIN, reprovisionPolicy=policy)
    one = before.device("one", deviceId="One", optionalDeviceInformation={"colour": "red"})
    before.device("two", attestation={"type": "tpm", "tpm": {"endorsementKey": "AAAA"}})
    requests = [before.member("dev-1", group), before.own(one)]
    operations = [before.register(request).document["operationId"] for request in requests]
    journal = restarted(path, journal)
    after = Service("hub-a", journal=journal)
    for old, new in (
        (before.store.groups, after.store.groups),
        (before.store.individuals, after.store.individuals),
    ):
        assert [item.record() for item in new.all()] == [item.record() for item in old.all()]
    assert after.store.registrations() == before.store.registrations()
    assert list(after.store.members["fleet"]) == ["dev-1"]
    for request, operation in zip(requests, operations, strict=True):
        assert after.dps.poll(request, operation, NOW).status == 202
        assert after.dps.poll(request, operation, NOW).document["status"] == "assigned"
    journal.close()


def test_what_was_removed_stays_away_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "state"
    journal = SqliteJournal(path)
    before = Service(journal=journal)
    group = before.group()
    before.state(before.member("dev-1", group))
    before.device("one")
    before.store.forget_registrations(group)
    before.store.groups.remove("fleet")
    before.store.individuals.remove("one")
    journal = restarted(path, journal)
    after = Store(journal)
    assert (after.groups.all(), after.individuals.all(), after.registrations()) == ([], [], [])
    journal.close()


def test_a_webhook_that_was_under_way_is_asked_again_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "state"
    journal = SqliteJournal(path)
    before = Service("hub-a", "hub-b", journal=journal)
    key = before.custom().keys.primary_b64
    request = before.ask("dev-1", key, b'{"payload": {"model": 7}}')
    operation = before.register(request).document["operationId"]
    before.custom("dev-2")
    before.register(before.own(before.custom("dev-2")))
    before.store.individuals.remove("dev-2")
    journal = restarted(path, journal)
    after = Service("hub-a", "hub-b", journal=journal)
    after.dps.resume(NOW)
    assert [call.operation_id for call in after.calls] == [operation]
    assert json.loads(after.calls[0].body) == json.loads(before.calls[0].body)
    after.answer_webhook(answer(payload={"ok": True}))
    journal = restarted(path, journal)
    last = Service("hub-a", "hub-b", journal=journal)
    # The one whose enrollment was deleted is forgotten for good.
    assert last.store.unfinished() == []
    last.dps.resume(NOW)
    assert last.calls == []
    done = last.finish(request, last.dps.poll(request, operation, NOW))
    assert done.document["registrationState"]["payload"] == {"ok": True}
    journal.close()


def test_pages_are_in_order_and_go_on_where_they_stopped_though_things_change() -> None:
    service = Service()
    for name in ("c", "a", "e", "b"):
        service.group(name)
    ids = service.store.groups.ids
    assert ids.after("", 2) == ["a", "b"]
    service.store.groups.remove("b")
    service.group("d")
    assert ids.after("b", 9) == ["c", "d", "e"]


def test_a_device_that_changes_its_group_is_in_the_new_one_alone() -> None:
    service = Service()
    one, two = service.group("one"), service.group("two")
    service.state(service.member("dev-1", one))
    service.state(service.member("dev-1", two))
    assert {name: list(ids) for name, ids in service.store.members.items()} == {"two": ["dev-1"]}


def test_an_individual_enrollment_that_comes_and_goes_leaves_the_groups_registration() -> None:
    service = Service("hub-a", "hub-b")
    group = service.group(allocationPolicy="static", iotHubs=["hub-a"])
    service.state(service.member("dev-1", group))
    own = service.device("dev-1")
    assert service.store.own_registration("dev-1") is None
    service.store.forget_registrations(own)
    service.store.individuals.remove("dev-1")
    service.group(allocationPolicy="static", iotHubs=["hub-b"])
    again = service.state(service.member("dev-1", group))
    assert again["substatus"] == "deviceDataMigrated"
    assert service.devices("hub-a") == []


def test_a_full_quota_refuses_the_next_and_keeps_the_rest() -> None:
    shelf = Shelf(EnrollmentGroup, 1, "group")
    fresh = Fresh(NOW, lambda count: b"r" * count)
    one, two = (read_enrollment(EnrollmentGroup, id, {}, None, fresh) for id in ("a", "b"))
    shelf.put(one)
    shelf.put(one)
    with pytest.raises(Refusal, match="quota"):
        shelf.put(two)
    assert [item.id for item in shelf.all()] == ["a"]


def test_a_full_quota_of_registrations_refuses_a_new_device_and_serves_an_old_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("firstlight.emulator.dps.store.MAX_REGISTRATIONS", 1)
    service = Service()
    group = service.group()
    old, new = (service.member(id, group) for id in ("dev-1", "dev-2"))
    service.state(old)
    assert service.register(new).status == 400
    assert [device.id for device in service.devices()] == ["dev-1"]
    assert service.state(old)["status"] == "assigned"
