"""A hub without any server, and devices that show it certificates."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstlight.emulator.hub.credential import (
    Credential,
    by_authority,
    by_keys,
    by_thumbprints,
)
from firstlight.emulator.hub.hub import Admission, Hub, NotAdmitted
from firstlight.emulator.hub.proving import Trust
from firstlight.emulator.hub.rules import Connacks
from tests.certificates import Issued, make_ca, make_leaf, make_root
from tests.emulator.hubs import KEYS, NOW, Book, Line, a_hub, random_bytes
from tests.emulator.peers import token

ID = "Dev:1"
USER = f"my-hub/{ID}/?api-version=2021-04-12"
START = datetime.fromtimestamp(NOW, UTC)
DAY_S = 86_400.0


def dated(**more: Any) -> dict[str, Any]:
    """From the test's own day on, so that no test ages."""
    return {"start": START} | more


ROOT = make_root("Hub Root", **dated())
BATCH = make_ca(ROOT, "Batch 1", **dated())
LEAF = make_leaf(BATCH, ID, **dated(days=30))
OTHER = make_leaf(BATCH, "Dev:2", **dated())
OWN = make_leaf(None, "anything", **dated(days=30))
ISSUER = make_root("Issuing CA", **dated())
ISSUED = make_leaf(ISSUER, ID, **dated(days=7))
_NOT_ITS = "by sas, not by|is not the device's|is not the device id|not known"


def a_hub_with(
    credential: Credential, *cas: Issued, book: Book | None = None, **rules: Any
) -> Hub:
    """cas: the hub's verified authorities."""
    hub = a_hub(book=book, **rules)
    hub.believe(trusting(*cas))
    hub.put_device(ID, credential, NOW)
    return hub


def trusting(*cas: Issued) -> Trust:
    anchors = [ca.certificate for ca in cas]
    return Trust(lambda: anchors, lambda: [ISSUER.certificate])


def admit(hub: Hub, *chain: bytes, password: str = "", at: float = NOW) -> Admission:
    return hub.admit(USER, password, ID, at, chain)


def refused(hub: Hub, why: str, *chain: bytes, password: str = "", at: float = NOW) -> int:
    """CONNACK's code."""
    with pytest.raises(NotAdmitted, match=why) as caught:
        admit(hub, *chain, password=password, at=at)
    return caught.value.code


def with_token(key: str = KEYS.primary_b64) -> str:
    return token(f"my-hub/devices/{ID}", key, int(NOW) + 60, None)


@pytest.mark.parametrize(
    "thumbprints",
    [
        (OWN.sha1, None),
        (OWN.sha256.lower(), None),
        (LEAF.sha256, OWN.sha1.lower()),
        (None, OWN.sha256),
    ],
)
def test_a_device_is_admitted_by_either_thumbprint_whoever_signed_it(
    thumbprints: tuple[str | None, str | None],
) -> None:
    hub = a_hub_with(Credential(None, "selfSigned", thumbprints))
    assert admit(hub, OWN.der) == Admission(ID, None)
    # What it shows beside its leaf is not looked at.
    assert admit(hub, OWN.der, ROOT.der).device_id == ID


def test_another_certificate_or_none_is_refused() -> None:
    hub = a_hub_with(by_thumbprints(OWN.sha256), ROOT)
    assert refused(hub, "thumbprint", *LEAF.chain_ders) == 5
    assert refused(hub, "thumbprint", ROOT.der, OWN.der) == 5
    assert refused(hub, "not a Shared") == 5
    assert refused(hub, "cannot be read", b"\x30\x00") == 5
    nobody = a_hub_with(Credential(None, "selfSigned"))
    assert refused(nobody, "thumbprint", OWN.der) == 5


@given(ders=st.lists(st.binary(max_size=40) | st.sampled_from([OWN.der, LEAF.der]), max_size=12))
def test_no_bytes_are_worse_than_a_refusal(ders: list[bytes]) -> None:
    hub = a_hub_with(by_authority(), ROOT)
    refused(hub, ".+", *ders)


def test_a_thumbprints_certificate_must_be_in_its_validity_unless_told() -> None:
    hub = a_hub_with(by_thumbprints(OWN.sha1), connacks=Connacks(expired=4))
    assert refused(hub, "has expired", OWN.der, at=NOW + 31 * DAY_S) == 4
    assert refused(hub, "not valid yet", OWN.der, at=NOW - 2 * DAY_S) == 4
    lax = a_hub_with(by_thumbprints(OWN.sha1), thumbprint_times=False)
    assert admit(lax, OWN.der, at=NOW + 31 * DAY_S)


@pytest.mark.parametrize("ca", [ROOT, BATCH])
def test_a_chain_to_a_verified_authority_admits_the_device_that_it_names(ca: Issued) -> None:
    hub = a_hub_with(by_authority(), ca)
    assert admit(hub, *LEAF.chain_ders) == Admission(ID, None)


@pytest.mark.parametrize(
    ("chain", "cas", "why"),
    [
        (LEAF.chain_ders, (), "not known"),
        (LEAF.chain_ders, (make_root("Another", **dated()),), "not known"),
        (LEAF.chain_ders[:1], (ROOT,), "not followed by its issuer"),
        (LEAF.chain_ders[::-1], (ROOT,), "common name"),
        (make_leaf(ROOT, "dev:1", **dated()).chain_ders, (ROOT,), "common name"),
        (make_leaf(ROOT, None, **dated()).chain_ders, (ROOT,), "common name"),
        (make_leaf(OTHER, ID, **dated()).chain_ders, (ROOT,), "is no CA"),
    ],
)
def test_a_chain_that_does_not_lead_there_is_refused(
    chain: Sequence[bytes], cas: tuple[Issued, ...], why: str
) -> None:
    assert refused(a_hub_with(by_authority(), *cas), why, *chain) == 5


def test_an_authoritys_certificate_must_be_in_its_validity() -> None:
    hub = a_hub_with(by_authority(), ROOT, connacks=Connacks(expired=3, wrong_key=4))
    assert refused(hub, "has expired", *LEAF.chain_ders, at=NOW + 31 * DAY_S) == 3
    old = make_ca(ROOT, "Old batch", **dated(days=10))
    leaf = make_leaf(old, ID, **dated(days=30))
    assert admit(hub, *leaf.chain_ders)
    assert refused(hub, "Old batch has expired", *leaf.chain_ders, at=NOW + 11 * DAY_S) == 4


def test_a_token_is_not_for_devices_with_certificates_nor_the_other_way_round() -> None:
    by_key = a_hub_with(by_keys(KEYS), ROOT)
    assert refused(by_key, "by sas, not by a certificate", *LEAF.chain_ders) == 5
    assert admit(by_key, *LEAF.chain_ders, password=with_token()).expires_at == int(NOW) + 60
    for credential in (by_authority(), by_thumbprints(LEAF.sha1)):
        hub = a_hub_with(credential, ROOT)
        keys = hub.device(ID).keys  # which nobody is ever told
        for password in (with_token(), with_token(keys.primary_b64), "SharedAccessSignature"):
            assert refused(hub, "not", *LEAF.chain_ders, password=password) == 5
        assert admit(hub, *LEAF.chain_ders)
    none = a_hub_with(Credential(None, "none"), ROOT)
    assert refused(none, "by none", *LEAF.chain_ders) == 5
    assert refused(none, "by none", ISSUED.der) == 5


@pytest.mark.parametrize("credential", [by_keys(KEYS), by_thumbprints(OWN.sha1), by_authority()])
def test_what_dps_issued_is_taken_beside_what_the_device_was_made_with(
    credential: Credential,
) -> None:
    hub = a_hub_with(credential, ROOT, connacks=Connacks(expired=3))
    assert admit(hub, ISSUED.der, ISSUER.der) == Admission(ID, None)
    assert refused(hub, "has expired", ISSUED.der, at=NOW + 8 * DAY_S) == 3
    other = make_leaf(ISSUER, "dev:1", **dated())
    assert refused(hub, _NOT_ITS, other.der) == 5
    forged = make_leaf(make_root("Issuing CA", **dated()), ID, **dated())
    assert refused(hub, _NOT_ITS, *forged.chain_ders) == 5


def test_a_hub_that_was_told_to_ends_the_connection_with_the_certificate() -> None:
    hub = a_hub_with(by_thumbprints(OWN.sha1), ends_with_certificate=True)
    assert admit(hub, OWN.der).expires_at == int(NOW + 30 * DAY_S)


def test_unknown_and_disabled_devices_with_certificates_are_refused() -> None:
    hub = a_hub_with(by_authority(), ROOT, connacks=Connacks(unknown=2, disabled=3))
    line = Line()
    hub.attach(ID, line, NOW)
    hub.set_enabled(ID, False, NOW)
    assert line.closed == ["the device was disabled"]
    assert refused(hub, "disabled", *LEAF.chain_ders) == 3
    assert refused(hub, "disabled", ISSUED.der) == 3
    hub.set_enabled(ID, True, NOW)
    assert admit(hub, *LEAF.chain_ders)
    hub.remove_device(ID)
    assert refused(hub, "unknown", *LEAF.chain_ders) == 2


def test_a_device_changes_what_it_authenticates_with_and_keeps_its_twin() -> None:
    book = Book()
    hub = a_hub_with(by_keys(KEYS), book=book)
    hub.patch_twin(ID, {"tags": {"site": "a"}}, None, NOW)
    before = hub.device(ID)
    hub.put_device(ID, by_thumbprints(OWN.sha256), NOW)
    assert refused(hub, "selfSigned", password=with_token()) == 5
    assert admit(hub, OWN.der)
    again = Hub("my-hub", a_hub(book=book).registry, hub._telemetry, random_bytes, book)
    assert again.device(ID).thumbprints == (OWN.sha256, OWN.sha256)
    assert admit(again, OWN.der)
    hub.put_device(ID, by_keys(KEYS), NOW)
    assert refused(hub, "by sas", OWN.der) == 5
    assert admit(hub, password=with_token())
    device = hub.device(ID)
    assert (device.twin.tags, device.generation_id) == ({"site": "a"}, before.generation_id)
    assert device.thumbprints == (None, None)


def test_the_same_credential_again_changes_nothing() -> None:
    hub = a_hub_with(by_thumbprints(OWN.sha1))
    etag = hub.device(ID).etag
    hub.put_device(ID, by_thumbprints(OWN.sha1), NOW + 1)
    assert hub.device(ID).etag == etag
    hub.put_device(ID, by_thumbprints(LEAF.sha1), NOW + 1)
    assert hub.device(ID).etag != etag


def test_a_credential_shows_no_key() -> None:
    assert KEYS.primary_b64 not in repr(by_keys(KEYS))
