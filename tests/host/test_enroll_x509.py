"""Enrollments by certificate: what is refused before it is sent, what is shown, who is let in."""

import csv
import json
import os
from base64 import b64encode, encodebytes
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)

from firstlight import access, attesting, azure, azurecalls
from firstlight.attesting import facts
from firstlight.azurecalls import Connection, Json, Reply
from firstlight.emulator.running import RunningAzure
from firstlight.errors import ServiceError, UsageError
from tests.certificates import Issued, make_ca, make_leaf, make_root
from tests.host.enrolling import Call, call, kept, local, registers_by, service, told

__all__ = ("call", "local", "service")  # fixtures
Given = Callable[[str, str | bytes], Path]


class Shop:
    """A root, two batches' CAs that no test before has seen, and a unit of the first."""

    def __init__(self, root: Issued) -> None:
        self.root = root
        self.batch = make_ca(self.root, "Shop Batch 1")
        self.next = make_ca(self.root, "Shop Batch 2")
        self.unit = make_leaf(self.batch, "unit-1")


@pytest.fixture(scope="module")
def root() -> Issued:
    return make_root("Shop Root")


@pytest.fixture
def shop(root: Issued) -> Shop:
    return Shop(root)


@pytest.fixture
def given(tmp_path: Path) -> Given:
    """A file with something in it."""

    def make(name: str, data: str | bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(data.encode() if isinstance(data, str) else data)
        return path

    return make


@pytest.fixture(scope="module")
def verified(local: RunningAzure, root: Issued) -> None:
    """The DPS instance has the shop's root, and has verified it."""
    local.add_ca("shop-root", root.pem)


def row(said: str, name: str) -> dict[str, str]:
    return {one["id"]: one for one in csv.DictReader(said.splitlines())}[name]


def test_a_group_by_an_intermediate_is_shown_with_whose_it_is_and_until_when(
    call: Call, given: Given, shop: Shop
) -> None:
    batch, successor = given("batch.pem", shop.batch.pem), given("next.der", shop.next.der)
    words = ("--ca-certificate", batch, "--secondary-ca-certificate", successor)
    assert "enrolled group line-x" in told(call("group", "line-x", *words))
    shown = json.loads(told(call("show", "group", "line-x")))["attestation"]
    pair = shown["x509"]["signingCertificates"]
    assert pair["primary"]["info"]["subjectName"] == "CN=Shop Batch 1"
    assert pair["primary"]["info"]["sha256Thumbprint"] == shop.batch.sha256
    assert pair["secondary"]["info"]["subjectName"] == "CN=Shop Batch 2"
    listed = row(told(call("list", "group")), "line-x")
    assert listed["attestation"] == "x509"
    assert (listed["certificate"], listed["sha256Thumbprint"]) == (
        "CN=Shop Batch 1",
        shop.batch.sha256,
    )
    assert listed["notAfterUtc"] == pair["primary"]["info"]["notAfterUtc"]


def test_a_group_by_the_name_of_a_ca_that_dps_has(call: Call, verified: None) -> None:
    told(call("group", "line-named", "--ca-name", "shop-root"))
    listed = row(told(call("list", "group")), "line-named")
    assert (listed["certificate"], listed["notAfterUtc"]) == ("shop-root", "")
    assert isinstance(call("group", "line-odd", "--ca-name", "a/b").exception, UsageError)


def test_a_device_by_its_leaf_and_its_successors(call: Call, given: Given, shop: Shop) -> None:
    leaf = given("unit-1.pem", shop.unit.chain_pem)  # the leaf comes first
    after = given("unit-1.next.pem", make_leaf(shop.next, "unit-1").pem)
    told(call("device", "unit-1", "--certificate", leaf, "--secondary-certificate", after))
    shown = json.loads(told(call("show", "device", "unit-1")))["attestation"]
    assert shown["x509"]["clientCertificates"]["primary"]["info"]["issuerName"] == (
        "CN=Shop Batch 1"
    )
    listed = row(told(call("list", "device")), "unit-1")
    assert (listed["certificate"], listed["sha256Thumbprint"]) == ("CN=unit-1", shop.unit.sha256)


def test_what_has_a_certificate_has_no_key_to_fetch(
    call: Call, given: Given, shop: Shop, service: azure.Service, tmp_path: Path
) -> None:
    told(call("group", "keyless", "--ca-certificate", given("batch.pem", shop.batch.pem)))
    refused = call("key", "group", "keyless", "--key-out", tmp_path / "out.key")
    assert "enrolled by certificate" in str(refused.exception)
    assert not (tmp_path / "out.key").exists()
    with pytest.raises(azure.NoKeys, match=r"with an X\.509"):
        service.key_pair("enrollmentGroups", "keyless")


def refusals(shop: Shop) -> dict[str, tuple[str | bytes, str]]:
    """What a leaf's file must not hold, and what is said of it."""
    sealed = shop.unit.key.private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"passphrase")
    )
    return {
        "other": (make_leaf(shop.batch, "unit-2").pem, "is of unit-2, and the registration id is"),
        "upper": (make_leaf(shop.batch, "UNIT-9").pem, "is of UNIT-9"),
        "nameless": (make_leaf(shop.batch, None).pem, "is of nobody"),
        "key": (shop.unit.key_pem, "has a private key in it"),
        "beside": (shop.unit.pem + shop.unit.key_pem, "has a private key in it"),
        "sealed": (sealed, "has a private key in it"),
        "twice": (b64encode(shop.unit.key_pem.encode()), "has a private key in it"),
        "wrapped": (encodebytes(shop.unit.key_pem.encode()), "has a private key in it"),
        "over": (make_leaf(shop.batch, "unit-9", since_days=-9, days=-2).pem, "expired on 20"),
        "junk": (b"\x30\x82\xff\xff" + bytes(99), "is not a certificate"),
        "cut": (shop.unit.pem[:200], "is not a certificate"),
        "torn": (shop.unit.der[:-9], "is not a certificate"),
        "empty": ("", "is not a certificate"),
        "long": (bytes(70_000), "too long"),
    }


def test_a_wrong_leaf_is_refused_before_anything_is_sent_and_no_key_is_shown(
    call: Call, given: Given, shop: Shop, service: azure.Service, tmp_path: Path
) -> None:
    secret = shop.unit.key_pem.splitlines()[1]
    for name, (data, complaint) in refusals(shop).items():
        refused = call("device", "unit-9", "--certificate", given(name, data))
        assert isinstance(refused.exception, UsageError), name
        assert complaint in str(refused.exception), name
        assert secret not in str(refused.exception) + refused.output
    os.mkfifo(tmp_path / "pipe")
    refused = call("device", "unit-9", "--certificate", tmp_path / "pipe")
    assert "is not a file" in str(refused.exception)  # and nobody waits for its other end
    assert service.find("enrollments", "unit-9") is None


def test_an_option_that_is_empty_is_not_one_that_is_absent(
    call: Call, given: Given, shop: Shop, service: azure.Service
) -> None:
    """As of a shell's variable that is not set: a group by keys is not what was meant."""
    batch = given("batch.pem", shop.batch.pem)
    for words in (
        ("--ca-name", ""),
        ("--ca-name", "shop-root", "--secondary-ca-name", ""),
        ("--secondary-ca-name", ""),
        ("--ca-certificate", batch, "--ca-name", ""),
        ("--ca-certificate", batch, "--credential-policy", ""),
        ("--ca-certificate", batch, "--primary-key", ""),
        ("--primary-key", "", "--secondary-key", ""),
    ):
        refused = call("group", "by-nothing", *words)
        assert isinstance(refused.exception, UsageError | ServiceError), words
    assert service.find("enrollmentGroups", "by-nothing") is None


def test_a_certificate_that_is_odd_is_taken_without_a_word(given: Given, shop: Shop) -> None:
    """Of a serial number that RFC 5280 forbids: some CAs have one."""
    der = shop.batch.der
    serial = der.index(b"\x02", der.index(b"\xa0\x03\x02\x01\x02") + 5)
    odd = bytearray(der)
    odd[serial + 2] |= 0x80
    assert attesting.of_group(given("odd.der", bytes(odd)), None)["type"] == "x509"


def test_a_group_is_not_enrolled_by_what_signs_nothing(
    call: Call, given: Given, shop: Shop, service: azure.Service
) -> None:
    plain = make_ca(shop.root, "no CA", basic=False)
    unsigning = make_leaf(shop.root, "leaf")
    for name, data, complaint in (
        ("leaf", unsigning.pem, "is no CA's certificate"),
        ("plain", plain.pem, "is no CA's certificate"),
        ("two", shop.batch.pem + shop.next.pem, "has 2 certificates in it"),
        ("key", shop.batch.pem + shop.batch.key_pem, "has a private key in it"),
        ("old", make_ca(shop.root, "old", since_days=-9, days=-2).pem, "expired"),
    ):
        refused = call("group", "line-9", "--ca-certificate", given(name, data))
        assert complaint in str(refused.exception), name
    good = given("ca.pem", shop.batch.pem)
    for words in (
        ("--ca-certificate", good, "--ca-name", "shop"),
        ("--ca-certificate", good, "--key-out", "x.key"),
        ("--ca-certificate", good, "--primary-key", "env:NOTHING"),
        ("--secondary-ca-certificate", good),
        ("--secondary-ca-name", "shop"),
    ):
        assert isinstance(call("group", "line-9", *words).exception, UsageError), words
    refused = call("device", "unit-9", "--secondary-certificate", good)
    assert isinstance(refused.exception, UsageError)
    assert service.find("enrollmentGroups", "line-9") is None


def test_one_unit_of_a_group_by_certificate_is_shut_out_and_let_in_again(
    local: RunningAzure, call: Call, given: Given, shop: Shop, verified: None, tmp_path: Path
) -> None:
    told(call("group", "line-7", "--ca-certificate", given("batch.pem", shop.batch.pem)))
    first, second = (make_leaf(shop.batch, name) for name in ("unit-a", "unit-b"))
    renewed = make_leaf(shop.batch, "unit-a")
    assert registers_by(local, first) == registers_by(local, second) == "assigned"
    hub = kept(tmp_path / "hub.txt", local.hub_connection_string())
    host = next(iter(local.local.hubs))
    said = told(call("revoke", "unit-a", "--hub-connection", hub))  # by nobody's key
    assert "kept out of its group by a disabled enrollment" in said
    assert f"disabled in the registry of {host} as unit-a" in said
    assert registers_by(local, first) == registers_by(local, renewed) == "401"
    assert registers_by(local, second) == "assigned"
    said = told(call("enable", "device", "unit-a", "--hub-connection", hub))
    assert "in its group again" in said
    assert f"enabled in the registry of {host}" in said
    device = local.call(lambda azure: azure.hubs[host].registry.get("unit-a"))
    assert device is not None
    assert device.enabled
    assert first.sha256 in device.thumbprints  # the hub's change was of its status alone
    assert registers_by(local, first) == "assigned"
    leaf = given("unit-a.pem", first.pem)
    told(call("revoke", "unit-a", "--certificate", leaf))
    assert registers_by(local, first) == "disabled"
    assert registers_by(local, renewed) == "401"
    told(call("enable", "device", "unit-a"))
    assert registers_by(local, renewed) == "assigned"
    wrong = call("revoke", "unit-b", "--certificate", leaf)
    assert "is of unit-a" in str(wrong.exception)
    both = call("revoke", "unit-b", "--certificate", leaf, "--delete")
    assert isinstance(both.exception, UsageError)
    assert registers_by(local, second) == "assigned"


def test_a_whole_group_and_a_device_of_its_own_are_disabled_and_keep_their_certificates(
    local: RunningAzure, call: Call, given: Given, shop: Shop, verified: None
) -> None:
    told(call("group", "line-8", "--ca-certificate", given("next.pem", shop.next.pem)))
    unit, solo = make_leaf(shop.next, "unit-c"), make_leaf(None, "solo")
    told(call("device", "solo", "--certificate", given("solo.pem", solo.pem)))
    assert registers_by(local, unit) == registers_by(local, solo) == "assigned"
    told(call("disable", "group", "line-8"))
    told(call("revoke", "solo"))
    assert registers_by(local, unit) == registers_by(local, solo) == "disabled"
    told(call("enable", "group", "line-8"))
    told(call("enable", "device", "solo"))
    assert registers_by(local, unit) == registers_by(local, solo) == "assigned"


def test_a_policy_that_issues_certificates_outlives_a_change(
    call: Call, given: Given, shop: Shop, service: azure.Service
) -> None:
    batch = given("batch.pem", shop.batch.pem)
    told(call("group", "renewing", "--ca-certificate", batch, "--credential-policy", "default"))
    told(call("disable", "group", "renewing"))
    found = json.loads(told(call("show", "group", "renewing")))
    assert (found["credentialPolicyName"], found["provisioningStatus"]) == ("default", "disabled")


def test_a_service_without_the_preview_is_asked_under_the_version_that_it_has(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    versions: list[tuple[str, str]] = []
    held: Json = {"registrationId": "u1", "etag": '"a"', "attestation": {"type": "x509"}}

    def old(method: str, url: str, _: object, __: object, ___: object) -> Reply:
        version = url.partition("api-version=")[2]
        versions.append((method, version))
        if version != azure.API_VERSION:
            return Reply(400, {}, b"{}")
        is_there = method != "GET" or "u2" not in url
        return Reply(200 if is_there else 404, {}, json.dumps(held if is_there else {}).encode())

    monkeypatch.setattr(azurecalls, "asked", old)
    at = azure.Service(Connection("localhost", "policy", b64encode(bytes(32)).decode()))
    access.switch(at, "enrollments", "u1", False)
    assert versions[:3] == [
        ("GET", azure.PREVIEW), ("GET", azure.API_VERSION), ("PUT", azure.API_VERSION)
    ]  # fmt: skip
    versions.clear()
    assert at.find("enrollments", "u1") == held
    at.create("enrollments", "u2", {})
    assert {version for _, version in versions} == {azure.API_VERSION}  # it remembers
    with pytest.raises(ServiceError, match="400"):
        at.create("enrollments", "u2", {azure.POLICY: "default"})


@pytest.mark.parametrize(
    "odd", [None, {}, {"x509": 1}, {"x509": {"clientCertificates": []}}, {"x509": {"caReferences":
        {"primary": {"info": None}}}}, {"type": "symmetricKey"}],
)  # fmt: skip
def test_an_odd_attestation_has_no_facts(odd: object) -> None:
    assert facts(odd) == ("", "", "")
