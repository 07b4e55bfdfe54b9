"""The service API under whatever a client may send: an answer each time, and nothing is lost."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from firstlight.emulator.dps.records import restored_enrollment
from tests.emulator.dps.calls import Api

FIELDS = (
    "registrationId", "enrollmentGroupId", "deviceId", "attestation", "type", "symmetricKey",
    "x509", "tpm", "primaryKey", "endorsementKey", "clientCertificates", "primary", "certificate",
    "provisioningStatus", "reprovisionPolicy", "updateHubAssignment", "allocationPolicy",
    "iotHubs", "iotHubHostName", "initialTwin", "tags", "properties", "desired", "capabilities",
    "iotEdge", "customAllocationDefinition", "webhookUrl", "apiVersion",
    "optionalDeviceInformation", "mode", "enrollments", "query", "etag",
)  # fmt: skip
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(
    method=st.sampled_from(["GET", "PUT", "POST", "DELETE", "PATCH"]),
    path=st.sampled_from(["/enrollments", "/enrollmentGroups/a", "/registrations/a/query", "/"])
    | st.text(max_size=20).map("/enrollments/{}".format),
    body=DOCUMENTS.map(lambda document: json.dumps(document).encode()) | st.binary(max_size=30),
    headers=st.dictionaries(
        st.sampled_from(["if_match", "x_ms_continuation", "x_ms_max_item_count"]),
        st.text(max_size=12),
    ),
)
def test_whatever_is_sent_gets_an_answer_and_what_was_there_stays(
    method: str, path: str, body: bytes, headers: dict[str, str]
) -> None:
    api = Api()
    kept = api.call("PUT", "/enrollments/kept", {}).document
    answer = api.call(method, path, body, **headers)
    assert 200 <= answer.status < 500
    assert answer.status == 204 or isinstance(json.loads(answer.body), dict | list)
    assert api.call("GET", "/enrollments/kept").document == kept
    for shelf in (api.store.individuals, api.store.groups):
        for item in shelf.all():
            assert restored_enrollment(shelf.kind, item.record()).record() == item.record()


@given(document=st.dictionaries(st.sampled_from(FIELDS), DOCUMENTS, max_size=6))
def test_an_enrollment_of_any_fields_is_taken_or_refused(document: dict[str, Any]) -> None:
    api = Api()
    answer = api.call("PUT", "/enrollments/one", document)
    assert answer.status in (200, 400)
    assert (api.store.individuals.get("one") is not None) is (answer.status == 200)
