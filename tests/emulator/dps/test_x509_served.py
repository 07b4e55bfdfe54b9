"""Certificates from the factory to the hub: over the emulator's own TLS, calls and service API."""

import base64
import http.client
import json
from collections.abc import Iterator
from typing import Any

import pytest

from firstlight.emulator.running import RunningAzure, running_azure
from firstlight.emulator.settings import Settings
from tests.certificates import Issued, make_ca, make_leaf, make_root
from tests.emulator.peers import (
    PATIENCE_S,
    POLL,
    REGISTER,
    RESULTS,
    Peer,
    connect,
    publish,
    subscribe,
    token,
)
from tests.emulator.tls_ends import client_context

VERSION = "?api-version=2021-10-01"
ROOT = make_root()
BATCH = make_ca(ROOT, "Batch 1")
LEAF = make_leaf(BATCH, "dev-1")


@pytest.fixture(scope="module")
def azure() -> Iterator[RunningAzure]:
    settings = Settings(mqtt_port=0, https_port=0, retry_after_s=0, polls_before_assigned=0)
    with running_azure(settings) as running:
        yield running


def registered(azure: RunningAzure, leaf: Issued, chain_pem: str | None = None) -> dict[str, Any]:
    """What a device is told in the end, over MQTT without a password."""
    id = leaf.certificate.subject.rfc4514_string().removeprefix("CN=")
    user = f"{azure.id_scope}/registrations/{id}/api-version=2019-03-31"
    context = client_context(leaf, chain_pem, azure.root_pem.read_text())
    with Peer(azure, context) as peer:
        peer.send(connect(id, user, None) + subscribe(RESULTS) + publish(REGISTER + "1"))
        answer: dict[str, Any] = json.loads(peer.read_message()[1])
        while answer.get("status") == "assigning":
            peer.send(publish(f"{POLL}2&operationId={answer['operationId']}"))
            answer = json.loads(peer.read_message()[1])
    return answer


def enters(azure: RunningAzure, leaf: Issued, id: str) -> bool:
    """Whether the hub lets the device in by its certificate."""
    context = client_context(leaf, None, azure.root_pem.read_text())
    with Peer(azure, context) as peer:
        peer.send(connect(id, f"localhost/{id}/?api-version=2021-04-12", None))
        return peer.socket.recv(4) == b"\x20\2\0\0"


def call(azure: RunningAzure, method: str, path: str, document: Any = None) -> tuple[int, Any]:
    """One of the emulator's own calls, or of DPS's service API with the owner's token."""
    parts = dict(part.split("=", 1) for part in azure.connection_string.split(";"))
    resource = parts["HostName"]
    owner = token(resource, parts["SharedAccessKey"], skn=parts["SharedAccessKeyName"])
    context = client_context(root_pem=azure.root_pem.read_text())
    wire = http.client.HTTPSConnection(
        "localhost", azure.https_port, timeout=PATIENCE_S, context=context
    )
    try:
        body = None if document is None else json.dumps(document)
        headers = {"Content-Type": "application/json", "Authorization": owner}
        wire.request(method, path, body, headers)
        answer = wire.getresponse()
        return answer.status, json.loads(answer.read() or b"null")
    finally:
        wire.close()


def test_a_fleet_goes_from_its_ca_to_its_hub(azure: RunningAzure) -> None:
    """Upload, proof of possession, enrollment, registration, and the hub, by calls alone."""
    at = "/emulator/certificates/dps/root"
    upload = {"properties": {"certificate": base64.b64encode(ROOT.der).decode()}}
    assert call(azure, "PUT", at, upload)[0] == 200
    signing = {"signingCertificates": {"primary": {"certificate": BATCH.pem}}}
    group = {"enrollmentGroupId": "batch-1", "attestation": {"type": "x509", "x509": signing}}
    assert call(azure, "PUT", f"/enrollmentGroups/batch-1{VERSION}", group)[0] == 200
    assert registered(azure, LEAF)["message"] == "CA certificate not found."  # not verified
    _, made = call(azure, "POST", f"{at}/generateVerificationCode")
    proof = make_leaf(ROOT, made["properties"]["verificationCode"])
    status, shown = call(azure, "POST", f"{at}/verify", {"certificate": proof.pem})
    assert (status, shown["properties"]["isVerified"]) == (200, True)
    state = registered(azure, LEAF)["registrationState"]
    assert (state["status"], state["x509"]) == ("assigned", {"enrollmentGroupId": "batch-1"})
    assert enters(azure, LEAF, "dev-1")
    assert not enters(azure, make_leaf(BATCH, "dev-1"), "dev-1")  # DPS gave the thumbprint


@pytest.fixture
def fleet(azure: RunningAzure) -> RunningAzure:
    azure.add_ca("root", ROOT.pem)
    azure.enroll_x509_group("batch-1", BATCH.der)
    return azure


def test_one_device_is_disallowed_and_enrolled_again(fleet: RunningAzure) -> None:
    leaf = make_leaf(BATCH, "dev-2")
    assert registered(fleet, leaf)["status"] == "assigned"
    fleet.enroll_x509("dev-2", leaf.pem, provisioningStatus="disabled")
    assert registered(fleet, leaf)["status"] == "disabled"
    assert registered(fleet, make_leaf(BATCH, "dev-3"))["status"] == "assigned"
    assert call(fleet, "DELETE", f"/enrollments/dev-2{VERSION}")[0] == 204
    assert registered(fleet, leaf)["status"] == "assigned"


def test_a_certificate_is_rolled_by_the_secondary(fleet: RunningAzure) -> None:
    old, new = make_leaf(None, "dev-4"), make_leaf(None, "dev-4")
    fleet.enroll_x509("dev-4", old.pem, new.pem)
    for leaf in (old, new):
        assert registered(fleet, leaf)["status"] == "assigned"
        assert enters(fleet, leaf, "dev-4")
    fleet.enroll_x509("dev-4", new.pem)
    assert registered(fleet, old)["message"] == "Invalid certificate."
    assert registered(fleet, new)["status"] == "assigned"
    assert not enters(fleet, old, "dev-4")


@pytest.mark.parametrize(
    ("leaf", "chain_pem", "message", "why"),
    [
        (LEAF, LEAF.pem, "CA certificate not found.", "CN=Batch 1, which is not known"),
        (LEAF, LEAF.pem + ROOT.pem + BATCH.pem, "CA certificate not found.", "comes later"),
        (make_leaf(BATCH, "dev-1", days=-0.5), None, "Invalid certificate.", "has expired"),
        (make_leaf(make_root("X"), "dev-1"), None, "CA certificate not found.", "CN=X"),
        (make_leaf(BATCH, "dev-9", since_days=1), None, "Invalid certificate.", "not valid yet"),
    ],
    ids=["incomplete", "out of order", "expired", "another root", "not valid yet"],
)
def test_a_bad_chain_is_refused_and_the_log_says_why(
    fleet: RunningAzure, leaf: Issued, chain_pem: str | None, message: str, why: str
) -> None:
    answer = registered(fleet, leaf, chain_pem)
    assert (answer["errorCode"], answer["message"]) == (401002, message)
    assert any(why in event["what"] for event in fleet.log)


def test_enrollments_with_certificates_are_made_and_read_in_bulk(azure: RunningAzure) -> None:
    leaves = {id: make_leaf(None, id) for id in ("bulk-1", "bulk-2")}
    items = [
        {
            "registrationId": id,
            "attestation": {
                "type": "x509",
                "x509": {"clientCertificates": {"primary": {"certificate": leaf.pem}}},
            },
        }
        for id, leaf in leaves.items()
    ]
    twice = items[0] | {"registrationId": "bulk-3"}
    bulk = {"mode": "create", "enrollments": [*items, twice]}
    _, done = call(azure, "POST", f"/enrollments{VERSION}", bulk)
    assert [error["registrationId"] for error in done["errors"]] == ["bulk-3"]
    for id, leaf in leaves.items():
        assert registered(azure, leaf)["status"] == "assigned"
        _, shown = call(azure, "GET", f"/enrollments/{id}{VERSION}")
        pair = shown["attestation"]["x509"]["clientCertificates"]
        assert pair["primary"]["info"]["sha256Thumbprint"] == leaf.sha256
        assert "certificate" not in pair["primary"]
        assert shown["registrationState"]["status"] == "assigned"


def test_a_group_is_of_a_certificate_or_of_a_name(azure: RunningAzure) -> None:
    azure.add_ca("named", make_root("Named").pem)
    assert azure.enroll_x509_group("by-name", ca_name="named").id == "by-name"
    for pair in ({}, {"ca_pem": ROOT.pem, "ca_name": "named"}):
        with pytest.raises(ValueError, match="give one"):
            azure.enroll_x509_group("neither", **pair)
