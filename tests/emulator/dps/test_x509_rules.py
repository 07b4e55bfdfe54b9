"""What may be set of certificates at DPS, and what becomes of a device that has one."""

from firstlight.emulator.dps.service import Request
from tests.certificates import make_leaf
from tests.emulator.dps.fleet import (
    ALONE,
    BATCH,
    LEAF,
    LINE,
    NO_CA,
    OTHER_BATCH,
    ROOT,
    START,
    fleet,
    said,
)
from tests.emulator.dps.provisioning import NOW, SCOPE, Service, refused
from tests.emulator.peers import sign

# Rules.


def test_the_groups_own_certificate_suffices_if_the_rule_says_so() -> None:
    service = Service(chain_to="group")
    service.signed("batch-1", BATCH)
    for chain in ([LEAF], [LEAF, BATCH], [LEAF, BATCH, ROOT]):
        assert service.register(service.show("dev-1", chain)).status == 202
    assert said(service, service.show("dev-1", ALONE))[:2] == (401002, NO_CA)


def test_certificates_may_come_in_any_order_if_the_rule_says_so() -> None:
    service = fleet(any_chain_order=True)
    deep = make_leaf(LINE, "dev-1", start=START)
    assert service.register(service.show("dev-1", [deep, ROOT, BATCH, LINE])).status == 202


def test_the_code_is_a_rule() -> None:
    service = fleet(certificate_code=401000)
    assert said(service, service.show("dev-1", [LEAF]))[:2] == (401000, NO_CA)


def test_a_device_that_no_group_is_for_may_be_404() -> None:
    service = fleet(unknown_enrollment="404")
    leaf = make_leaf(OTHER_BATCH, "dev-1", start=START)
    assert refused(service.register(service.show("dev-1", leaf))) == (404, 404201)


def test_the_facts_of_the_certificate_are_told_if_the_rule_says_so() -> None:
    service = fleet(certificate_info=True)
    node = service.state(service.show("dev-1", LEAF))["x509"]
    assert node["enrollmentGroupId"] == "batch-1"
    assert node["certificateInfo"]["sha256Thumbprint"] == LEAF.sha256
    assert node["certificateInfo"]["subjectName"] == "CN=dev-1"
    assert node["certificateInfo"]["issuerName"] == "CN=Batch 1"


# Beside keys, and what becomes of a device.


def test_a_service_of_keys_alone_says_what_it_always_said() -> None:
    service = Service()
    service.group()
    nothing = Request(SCOPE, "dev-1", "")
    assert refused(service.register(nothing)) == (401, 401000)
    late = service.member("dev-1", service.group(), se=int(NOW) - 1)
    assert refused(service.register(late)) == (401, 401002)


def test_groups_of_keys_and_of_certificates_stand_side_by_side() -> None:
    service = fleet()
    keyed = service.group("keyed")
    assert service.register(service.member("dev-2", keyed)).status == 202
    assert service.register(service.show("dev-1", LEAF)).status == 202
    wrong = service.ask("dev-2", sign(keyed.keys.secondary_b64, "dev-3"))
    assert refused(service.register(wrong)) == (401, 401000)
    late = service.member("dev-2", keyed, se=int(NOW) - 1)
    assert service.register(late).note.endswith("the token has expired")
    assert refused(service.register(Request(SCOPE, "dev-9", ""))) == (401, 401002)
    both = Request(SCOPE, "dev-2", service.member("dev-2", keyed).token, chain=LEAF.chain_ders)
    assert service.register(both).status == 202


def test_a_rolled_certificate_is_what_the_hub_knows_after_the_next_registration() -> None:
    service = fleet()
    service.complete(service.show("dev-1", LEAF))
    rolled = make_leaf(BATCH, "dev-1", start=START)
    service.complete(service.show("dev-1", rolled))
    (device,) = service.devices()
    assert device.thumbprints == (rolled.sha256, rolled.sha256)


def test_a_secondary_certificate_counts_without_a_primary() -> None:
    service = fleet()
    secondary = {"secondary": {"certificate": ALONE.pem}}
    service.device(
        "dev-1", attestation={"type": "x509", "x509": {"clientCertificates": secondary}}
    )
    assert service.state(service.show("dev-1", ALONE))["status"] == "assigned"
    device = service.hubs["hub-a"].registry.get("dev-1") or service.hubs["hub-b"].registry.get(
        "dev-1"
    )
    assert device is not None
    assert device.thumbprints == (ALONE.sha256, ALONE.sha256)


def test_a_device_goes_from_a_key_to_a_certificate_and_back() -> None:
    service = Service()
    keyed = service.device("dev-1")
    service.complete(service.own(keyed))
    service.certified("dev-1", ALONE)
    service.complete(service.show("dev-1", ALONE))
    (device,) = service.devices()
    assert (device.auth, device.thumbprints[0]) == ("selfSigned", ALONE.sha256)
    keyed = service.device("dev-1", attestation={"type": "symmetricKey"})
    service.complete(service.own(keyed))
    (device,) = service.devices()
    assert (device.auth, device.keys, device.thumbprints) == ("sas", keyed.keys, (None, None))


def test_a_certificate_goes_along_to_another_hub() -> None:
    service = Service("hub-a", "hub-b")
    service.certified("dev-1", ALONE, iotHubs=["hub-a"])
    service.complete(service.show("dev-1", ALONE))
    service.certified("dev-1", ALONE, iotHubs=["hub-b"])
    state = service.state(service.show("dev-1", ALONE))
    assert (state["assignedHub"], state["substatus"]) == ("hub-b", "deviceDataMigrated")
    assert service.devices("hub-a") == []
    assert service.devices("hub-b")[0].thumbprints[0] == ALONE.sha256


def test_no_key_and_no_certificate_is_in_a_repr() -> None:
    request = fleet().show("dev-1", LEAF)
    assert LEAF.der.hex() not in repr(request)
    assert repr(LEAF.der)[2:40] not in repr(request)
