"""The service API without HTTP: enrollments, groups and registration records."""

import base64
import itertools
import json
from typing import Any

import pytest

from firstlight.emulator.answers import Answer, etag
from firstlight.emulator.dps.api import ServiceApi
from firstlight.emulator.dps.records import EnrollmentGroup, Registration
from firstlight.emulator.dps.store import Shelf, Store
from firstlight.emulator.rest import Call
from tests.emulator.peers import token

NOW = 1_795_000_000.0
KEY = base64.b64encode(b"k" * 64).decode()
HOST = "localhost:8443"


class Api:
    """The API with a fixed clock, spoken to with good tokens unless a test says otherwise."""

    def __init__(self) -> None:
        counter = itertools.count(1)
        self.random = lambda count: next(counter).to_bytes(count, "big")
        self.store = Store()
        self.api = ServiceApi(self.store, KEY, lambda: frozenset((HOST,)), self.random)

    def call(self, method: str, path: str, document: Any = None, **headers: str) -> Answer:
        good = token(HOST, KEY, int(NOW) + 60, "provisioningserviceowner")
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        fields = {"authorization": good} | named
        query = {"api-version": "2021-10-01"}
        sent = b"" if document is None else body
        return self.api.handle(Call(method, path, query, fields, sent), NOW)

    def error(self, *args: Any, **headers: str) -> tuple[int, int]:
        answer = self.call(*args, **headers)
        assert answer.headers["x-ms-error-code"] == str(answer.document["errorCode"])
        return answer.status, answer.document["errorCode"]


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
    changed = api.call(
        "PUT", path, {"provisioningStatus": "disabled", "initialTwin": {"tags": {}}}
    )
    assert changed.document["provisioningStatus"] == "disabled"
    assert changed.document["initialTwin"] == {"tags": {}}
    assert changed.document["etag"] != made.document["etag"]
    assert changed.document["createdDateTimeUtc"] == made.document["createdDateTimeUtc"]
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
    api.call("PUT", f"{place}/one", {"attestation": {"symmetricKey": {"primaryKey": KEY}}})
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
    assert api.error("PUT", "/enrollmentGroups/one", document)[0] == 400
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
        token(HOST, base64.b64encode(b"x" * 64).decode(), skn="provisioningserviceowner"),
        token(HOST, KEY, skn="registration"),
        token(HOST, KEY, skn=None),
        token("elsewhere", KEY, skn="provisioningserviceowner"),
        token(HOST, KEY, int(NOW), "provisioningserviceowner"),
    ],
)
def test_a_call_without_a_good_service_token_is_401(api: Api, authorization: str) -> None:
    assert api.error("PUT", "/enrollments/a", {}, authorization=authorization) == (401, 401002)
    assert api.store.individuals.all() == []


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


def test_a_full_quota_refuses_the_next_and_keeps_the_rest(api: Api) -> None:
    shelf = Shelf(EnrollmentGroup, 1)
    first = api.api.put(shelf, "a", {}, NOW)
    api.api.put(shelf, "a", {}, NOW)
    with pytest.raises(Exception, match="quota"):
        api.api.put(shelf, "b", {}, NOW)
    assert [item.id for item in shelf.all()] == [first.id]
