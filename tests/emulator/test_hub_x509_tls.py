"""Certificates over real TLS: from DPS's issuance to a hub, and devices of a hub without DPS."""

import base64
import json
import ssl
from collections.abc import Iterator, Sequence
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from firstlight.emulator.hub.credential import by_authority, by_thumbprints
from firstlight.emulator.running import RunningAzure, running_azure
from firstlight.emulator.settings import Settings
from tests.certificates import Issued, make_ca, make_csr, make_key, make_leaf, make_root
from tests.emulator.peers import POLL, REGISTER, RESULTS, Peer, connect, publish, subscribe, token

ID = "dev-1"
HUB_USER = f"localhost/{ID}/?api-version=2021-04-12"
OWN = make_leaf(None, ID)
ROOT = make_root("Fleet Root")
LEAF = make_leaf(make_ca(ROOT, "Batch 1"), ID)


@pytest.fixture(scope="module")
def azure() -> Iterator[RunningAzure]:
    settings = Settings(
        mqtt_port=0,
        https_port=0,
        retry_after_s=0,
        polls_per_10_s=None,
        credential_policies={"week": 7 * 86_400},
    )
    with running_azure(settings) as running:
        yield running


@pytest.fixture(autouse=True)
def bare(azure: RunningAzure) -> None:
    """Each test begins without the device, and without faults."""
    azure.clear_faults()
    azure.call(lambda local: local.hubs["localhost"].remove_device(ID))


def tls_with(azure: RunningAzure, folder: Path, chain_pem: str, key_pem: str) -> ssl.SSLContext:
    (folder / "chain.pem").write_text(chain_pem)
    (folder / "key.pem").write_text(key_pem)
    context = ssl.create_default_context(cafile=str(azure.root_pem))
    context.load_cert_chain(folder / "chain.pem", folder / "key.pem")
    return context


def connack(peer: Peer, user: str, password: str | None = None) -> int:
    peer.send(connect(ID, user, password))
    first, body = peer.read()
    assert first == 0x20
    return body[1]


def at_hub(tls: ssl.SSLContext | None, azure: RunningAzure, password: str | None = None) -> int:
    """CONNACK's code; a device that is let in is also heard."""
    with Peer(azure, tls) as peer:
        code = connack(peer, HUB_USER, password)
        if code == 0:
            peer.send(publish(f"devices/{ID}/messages/events/", b"21"))
            assert peer.read() == (0x40, b"\0\x07")
        return code


def ask(peer: Peer, topic: str, body: bytes = b"") -> tuple[str, Any]:
    peer.send(publish(topic, body, qos=0))
    topic, answer = peer.read_message()
    return topic.split("/")[3], json.loads(answer)


def issued(azure: RunningAzure, csr: str, key_b64: str) -> dict[str, Any]:
    """A whole registration over MQTT; the registrationState."""
    resource = f"{azure.id_scope}/registrations/{ID}"
    user = f"{resource}/api-version=2025-07-01-preview"
    with Peer(azure) as peer:
        assert connack(peer, user, token(resource, key_b64)) == 0
        peer.send(subscribe(RESULTS))
        assert peer.read()[0] == 0x90
        status, answer = ask(peer, REGISTER + "1", json.dumps({"csr": csr}).encode())
        while status == "202":
            status, answer = ask(peer, f"{POLL}1&operationId={answer['operationId']}")
        assert status == "200", answer
        state: dict[str, Any] = answer["registrationState"]
        return state


def pem_of(chain: Sequence[str]) -> str:
    ders = map(base64.b64decode, chain)
    return "".join(
        x509.load_der_x509_certificate(der).public_bytes(Encoding.PEM).decode() for der in ders
    )


def test_a_csr_becomes_a_certificate_with_which_the_device_sends(
    azure: RunningAzure, tmp_path: Path
) -> None:
    key = Issued(OWN.certificate, make_key()).key
    csr = base64.b64encode(make_csr(key, ID).public_bytes(Encoding.DER)).decode()
    device_key = azure.enroll_device(ID, {"credentialPolicyName": "week"}).keys.primary_b64
    state = issued(azure, csr, device_key)
    assert state["status"] == "assigned"
    chain_pem = pem_of(state["issuedCertificateChain"])
    tls = tls_with(azure, tmp_path, chain_pem, Issued(OWN.certificate, key).key_pem)
    assert at_hub(tls, azure) == 0
    # With what it was made with, too: a device that rolls back gets in.
    assert at_hub(None, azure, token(f"localhost/devices/{ID}", device_key, skn=None)) == 0
    azure.call(lambda local: local.hubs["localhost"].set_enabled(ID, False, local.clock()))
    assert at_hub(tls, azure) == 5


@pytest.mark.parametrize(
    "words", ['{"issuedCertificateChain": null}', '{"issuedCertificateChain": ["MIIB"]}']
)
def test_a_fault_withholds_the_certificate_or_gives_another(
    azure: RunningAzure, words: str
) -> None:
    csr = base64.b64encode(make_csr(make_key(), ID).public_bytes(Encoding.DER)).decode()
    key_b64 = azure.enroll_device(ID, {"credentialPolicyName": "week"}).keys.primary_b64
    azure.add_fault(at="poll-answer", do="state", set=json.loads(words))
    state = issued(azure, csr, key_b64)
    assert state["status"] == "assigned"
    assert state.get("issuedCertificateChain") == json.loads(words)["issuedCertificateChain"]


@pytest.mark.parametrize("password", [None, ""])
def test_a_hubs_own_devices_come_in_by_thumbprint_and_by_authority(
    azure: RunningAzure, tmp_path: Path, password: str | None
) -> None:
    azure.add_ca("fleet", ROOT.pem, owner="localhost")
    own = tls_with(azure, tmp_path, OWN.chain_pem, OWN.key_pem)
    other = tls_with(azure, tmp_path, LEAF.chain_pem, LEAF.key_pem)

    def put(credential: Any) -> None:
        azure.call(lambda local: local.hubs["localhost"].put_device(ID, credential, local.clock()))

    put(by_thumbprints(OWN.sha256))
    assert (at_hub(own, azure, password), at_hub(other, azure, password)) == (0, 5)
    assert at_hub(own, azure, "SharedAccessSignature sr=x") == 5
    put(by_authority())
    assert (at_hub(own, azure, password), at_hub(other, azure, password)) == (5, 0)
    assert at_hub(None, azure, password) == 5


def test_over_https_the_certificate_stands_for_the_token(
    azure: RunningAzure, tmp_path: Path
) -> None:
    azure.call(
        lambda local: local.hubs["localhost"].put_device(
            ID, by_thumbprints(OWN.sha1), local.clock()
        )
    )
    statuses = []
    for one in (OWN, LEAF):
        tls = tls_with(azure, tmp_path, one.chain_pem, one.key_pem)
        peer = HTTPSConnection("localhost", azure.https_port, context=tls, timeout=10)
        path = f"/devices/{ID}/messages/events?api-version=2020-03-13"
        peer.request("POST", path, b"{}")
        statuses.append(peer.getresponse().status)
        peer.close()
    assert statuses == [204, 401]
