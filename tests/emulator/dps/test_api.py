"""The service API without HTTP: enrollments, groups and registration records (protocol.md 7)."""

import base64
import json
from typing import Any

import pytest

from firstlight.emulator.answers import etag
from firstlight.emulator.dps.records import Registration
from tests.emulator.dps.calls import HOST, NOW, OWNER, Api
from tests.emulator.peers import token

KEY = base64.b64encode(b"k" * 64).decode()


@pytest.fixture
def api() -> Api:
    return Api()


PLACES = pytest.mark.parametrize(
    ("place", "field"),
    [("/enrollments", "registrationId"), ("/enrollmentGroups", "enrollmentGroupId")],
)


@PLACES
def test_an_enrollment_is_created_read_replaced_and_deleted(
    api: Api, place: str, field: str
) -> None:
    path = f"{place}/One"
    made = api.call("PUT", path, {field: "one", "attestation": {"type": "symmetricKey"}})
    assert made.status == 200
    assert made.document[field] == "one"
    assert made.document["provisioningStatus"] == "enabled"
    assert api.call("GET", path).document == made.document
    api.now_at += 1
    changed = api.call(
        "PUT",
        path,
        {"provisioningStatus": "disabled", "initialTwin": {"tags": {}}},
        if_match=made.document["etag"],
    )
    assert changed.document["provisioningStatus"] == "disabled"
    assert changed.document["initialTwin"] == {"tags": {}}
    assert changed.document["etag"] != made.document["etag"]
    assert changed.document["createdDateTimeUtc"] == made.document["createdDateTimeUtc"]
    assert changed.document["lastUpdatedDateTimeUtc"] > made.document["lastUpdatedDateTimeUtc"]
    assert api.call("DELETE", path).status == 204
    assert api.error("GET", path) == (404, 404201)
    assert api.error("DELETE", path) == (404, 404201)


@PLACES
def test_keys_are_generated_kept_and_shown_only_as_the_mechanism(
    api: Api, place: str, field: str
) -> None:
    made = api.call("PUT", f"{place}/one", {})
    pair = api.call("POST", f"{place}/one/attestationmechanism").document["symmetricKey"]
    for key in pair.values():
        assert len(base64.b64decode(key)) == 64
        assert key not in json.dumps(made.document) + made.note
    api.call(
        "PUT",
        f"{place}/one",
        {"attestation": {"symmetricKey": {"primaryKey": KEY}}},
        if_match="*",
    )
    again = api.call("POST", f"{place}/one/attestationmechanism").document["symmetricKey"]
    assert again == {"primaryKey": KEY, "secondaryKey": pair["secondaryKey"]}


@PLACES
def test_if_match_guards_put_and_delete(api: Api, place: str, field: str) -> None:
    path = f"{place}/one"
    assert api.error("PUT", path, {}, if_match="*") == (412, 409203)
    tag = api.call("PUT", path, {}).document["etag"]
    assert api.error("PUT", path, {}, if_match='"stale"') == (412, 409203)
    assert api.error("DELETE", path, if_match='"stale"') == (412, 409203)
    assert api.call("PUT", path, {}, if_match=f'"{tag}"').status == 200
    assert api.call("DELETE", path, if_match="*").status == 204


@pytest.mark.parametrize(
    "document",
    [
        b"{",
        b"[]",
        {"enrollmentGroupId": "two"},
        {"enrollmentGroupId": 1},
        {"provisioningStatus": "on"},
        {"provisioningStatus": ["enabled"]},
        {"allocationPolicy": "custom"},
        {"iotHubs": "hub"},
        {"iotHubs": ["a b"]},
        {"reprovisionPolicy": {"updateHubAssignment": "yes"}},
        {"reprovisionPolicy": []},
        {"initialTwin": 1},
        b'{"initialTwin": {"tags": NaN}}',
        b'{"initialTwin": {"tags": -Infinity}}',
        b'{"initialTwin": {"tags": 1e999}}',
        {"attestation": {"type": "tpm"}},
        {"attestation": {"symmetricKey": {"primaryKey": "short"}}},
        {"attestation": {"symmetricKey": {"primaryKey": 5}}},
        {"attestation": {"symmetricKey": {"primaryKey": "AAAA"}}},
        {"attestation": {"symmetricKey": {"primaryKey": "é" * 44}}},
    ],
)
def test_a_bad_enrollment_is_400_and_what_was_there_stays(api: Api, document: Any) -> None:
    before = api.call("PUT", "/enrollmentGroups/one", {}).document
    assert api.error("PUT", "/enrollmentGroups/one", document, if_match="*")[0] == 400
    assert api.call("GET", "/enrollmentGroups/one").document == before


@pytest.mark.parametrize("id", ["a b", "a.", "a" * 129, "ü", ""])
def test_an_id_that_dps_does_not_take_is_refused(api: Api, id: str) -> None:
    assert api.error("PUT", f"/enrollments/{id}", {})[0] in (400, 404)
    assert api.store.individuals.all() == []


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer x",
        token(HOST, KEY, skn=OWNER),
        token(HOST, KEY, skn="registration"),
        token(HOST, KEY, skn=None),
        token(HOST, KEY, skn="nobody"),
    ],
)
def test_a_call_without_a_good_service_token_is_401(api: Api, authorization: str) -> None:
    assert api.error("PUT", "/enrollments/a", {}, authorization=authorization) == (401, 401002)
    assert api.store.individuals.all() == []


def test_a_token_for_another_host_or_time_is_401(api: Api) -> None:
    for wrong in (api.token(resource="elsewhere"), api.token(se=int(NOW))):
        assert api.error("PUT", "/enrollments/a", {}, authorization=wrong) == (401, 401002)


@pytest.mark.parametrize(
    ("policy", "allowed"),
    [
        (OWNER, {"read", "write", "keys", "bulk", "state", "forget"}),
        ("enrollmentRead", {"read", "keys"}),
        ("enrollmentReadWrite", {"read", "write", "keys", "bulk"}),
        ("registrationRead", {"state"}),
        ("registrationReadWrite", {"state", "forget"}),
    ],
)
def test_each_policy_may_do_what_it_has_a_right_for(
    api: Api, policy: str, allowed: set[str]
) -> None:
    api.call("PUT", "/enrollmentGroups/fleet", {})
    calls: dict[str, tuple[str, str, Any]] = {
        "read": ("GET", "/enrollmentGroups/fleet", None),
        "write": ("PUT", "/enrollments/new", {}),
        "keys": ("POST", "/enrollmentGroups/fleet/attestationmechanism", None),
        "bulk": ("POST", "/enrollments", {"mode": "create", "enrollments": [{}]}),
        "state": ("POST", "/registrations/fleet/query", {}),
        "forget": ("DELETE", "/registrations/nobody", None),
    }
    given = api.token(policy)
    done = {
        name for name, one in calls.items() if api.call(*one, authorization=given).status != 401
    }
    assert done == allowed


def test_a_query_comes_in_pages(api: Api) -> None:
    for number in range(5):
        api.call("PUT", f"/enrollments/dev-{number}", {})
    found, more = [], ""
    for _ in range(3):
        answer = api.call(
            "POST", "/enrollments/query", {}, x_ms_max_item_count="2", x_ms_continuation=more
        )
        found += [item["registrationId"] for item in answer.document]
        more = answer.headers.get("x-ms-continuation", "")
    assert found == [f"dev-{n}" for n in range(5)]
    assert more == ""
    assert api.error("POST", "/enrollments/query", {}, x_ms_max_item_count="0")[0] == 400
    assert api.error("POST", "/enrollments/query", {}, x_ms_continuation="é")[0] == 400


def test_registration_records_are_read_listed_and_deleted(api: Api) -> None:
    assert api.call("PUT", "/enrollmentGroups/fleet", {}).status == 200
    api.call("PUT", "/enrollmentGroups/fleet", {})
    tag = etag(NOW, api.random)
    for id in ("a", "b"):
        record = Registration(
            id, "assigned", "fleet", NOW, NOW, tag, "hub", id, "initialAssignment"
        )
        api.store.put_registration(record)
    assert api.call("GET", "/registrations/A").document["assignedHub"] == "hub"
    listed = api.call("POST", "/registrations/fleet/query").document
    assert [item["registrationId"] for item in listed] == ["a", "b"]
    assert api.error("DELETE", "/registrations/a", if_match='"x"') == (412, 409203)
    assert api.call("DELETE", "/registrations/a").status == 204
    assert api.error("GET", "/registrations/a") == (404, 404201)
    assert api.call("DELETE", "/enrollmentGroups/fleet").status == 204
    assert api.error("GET", "/registrations/b") == (404, 404201)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/", 404),
        ("GET", "/enrollments", 404),
        ("GET", "/elsewhere/a", 404),
        ("GET", "/enrollments/a/b/c", 404),
        ("PATCH", "/enrollments/a", 405),
        ("POST", "/registrations/nobody/query", 404),
        ("PUT", "/registrations/a", 404),
    ],
)
def test_other_routes_are_errors_in_the_services_form(
    api: Api, method: str, path: str, status: int
) -> None:
    assert api.error(method, path)[0] == status


def test_an_enrollment_that_is_there_is_replaced_only_under_its_etag(api: Api) -> None:
    made = api.call("PUT", "/enrollments/one", {}).document
    assert api.error("PUT", "/enrollments/one", {}) == (409, 409000)
    assert api.call("PUT", "/enrollments/one", {}, if_match=made["etag"]).status == 200
    assert api.call("PUT", "/enrollments/one", {}, if_match="*").status == 200
    lax = Api(put_over=True)
    assert [lax.call("PUT", "/enrollments/one", {}).status for _ in range(2)] == [200, 200]


def test_the_paths_of_the_node_sdk_are_known(api: Api) -> None:
    api.call("PUT", "/enrollmentGroups/fleet", {})
    path = "/enrollmentgroups/fleet/attestationmechanism"
    assert api.call("POST", path).document["type"] == "symmetricKey"
    done = api.call("POST", "/enrollments/", {"mode": "create", "enrollments": [{}]})
    assert done.status == 200


def test_an_individual_enrollment_shows_its_registration_but_a_query_does_not(api: Api) -> None:
    api.call("PUT", "/enrollments/one", {})
    assert "registrationState" not in api.call("GET", "/enrollments/one").document
    api.store.put_registration(Registration("one", "assigned", "fleet", NOW, NOW, "e"))
    assert "registrationState" not in api.call("GET", "/enrollments/one").document
    record = Registration("one", "assigned", None, NOW, NOW, "e", "hub", "one", proof={"x509": {}})
    api.store.put_registration(record)
    state = api.call("GET", "/enrollments/one").document["registrationState"]
    assert state["assignedHub"] == "hub"
    assert "x509" not in state
    assert "registrationState" not in api.call("POST", "/enrollments/query", {}).document[0]


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/enrollments/query", "enrollment"),
        ("/enrollmentGroups/query", "enrollmentGroup"),
        ("/registrations/fleet/query", "deviceRegistration"),
    ],
)
def test_a_page_says_what_is_on_it(api: Api, path: str, kind: str) -> None:
    api.call("PUT", "/enrollmentGroups/fleet", {})
    headers = api.call("POST", path, {"query": "SELECT *"}, x_ms_max_item_count="7").headers
    assert (headers["x-ms-item-type"], headers["x-ms-max-item-count"]) == (kind, "7")
    assert api.error("POST", path, {"query": 1}) == (400, 400000)
    assert api.error("POST", path, b"{")[0] == 400


def test_service_operations_are_metered_by_the_minute() -> None:
    api = Api(operations_per_minute=2)
    statuses = [api.call("GET", "/enrollments/a").status for _ in range(3)]
    assert statuses == [404, 404, 429]
    answer = api.call("GET", "/enrollments/a")
    assert answer.retry_after_s is not None
    assert api.error("GET", "/enrollments/a") == (429, 429001)
    api.now_at += answer.retry_after_s
    assert (
        api.call("GET", "/enrollments/a", authorization=api.token(se=int(NOW) + 999)).status == 404
    )


def test_a_policy_that_is_not_set_is_not_shown_and_one_that_is_is(api: Api) -> None:
    made = api.call("PUT", "/enrollments/one", {})
    assert "reprovisionPolicy" not in made.document
    policy = {"updateHubAssignment": False, "migrateDeviceData": False}
    again = api.call("PUT", "/enrollments/two", {"reprovisionPolicy": policy})
    assert again.document["reprovisionPolicy"] == policy


def test_a_webhooks_key_is_kept_and_never_shown(api: Api) -> None:
    custom = {"webhookUrl": "https://f.example/api/hook?code=secret", "apiVersion": "2021-10-01"}
    document = {"allocationPolicy": "custom", "customAllocationDefinition": custom}
    made = api.call("PUT", "/enrollments/one", document).document
    shown = made["customAllocationDefinition"]["webhookUrl"]
    assert shown == "https://f.example/api/hook?****"
    again = api.call("PUT", "/enrollments/one", made, if_match=made["etag"])
    assert again.document["customAllocationDefinition"]["webhookUrl"] == shown
    kept = api.store.individuals.get("one")
    assert kept is not None
    assert kept.webhook_url == custom["webhookUrl"]
    assert "secret" not in repr(kept)


@pytest.mark.parametrize(
    "custom",
    [
        None,
        {},
        {"webhookUrl": "https://f.example/hook"},
        {"webhookUrl": "ftp://f.example/hook", "apiVersion": "1"},
        {"webhookUrl": "https://", "apiVersion": "1"},
        {"webhookUrl": "https://f.example:99999/", "apiVersion": "1"},
        {"webhookUrl": "https://f.example/a b", "apiVersion": "1"},
        {"webhookUrl": "https://[", "apiVersion": "1"},
        {"webhookUrl": 1, "apiVersion": "1"},
    ],
)
def test_custom_allocation_needs_a_webhook(api: Api, custom: Any) -> None:
    document = {"allocationPolicy": "custom", "customAllocationDefinition": custom}
    assert api.error("PUT", "/enrollments/one", document) == (400, 400000)
