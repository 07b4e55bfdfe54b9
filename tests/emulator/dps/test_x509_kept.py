"""What a service knows of certificates is there again after a restart."""

import json
from datetime import UTC, datetime

from tests.certificates import make_ca, make_leaf, make_root
from tests.emulator.dps.fleet import BATCH, LEAF, ROOT, fleet
from tests.emulator.dps.provisioning import HOOK, NOW, Service
from tests.emulator.memory import Paper, remembered
from tests.emulator.world import World

START = datetime.fromtimestamp(NOW, UTC)


def test_a_fleet_is_known_after_a_restart() -> None:
    paper = Paper()
    before = fleet(journal=paper)
    assert before.state(before.show("dev-1", LEAF))["status"] == "assigned"
    before.certified("dev-2", own := make_leaf(None, "dev-2", start=START))
    after = Service(journal=paper)
    assert after.state(after.show("dev-1", LEAF))["x509"] == {"enrollmentGroupId": "batch-1"}
    assert after.state(after.show("dev-2", own))["status"] == "assigned"
    assert after.devices()[0].thumbprints == (LEAF.sha256, LEAF.sha256)
    assert [item.record() for item in after.store.groups.all()] == [
        item.record() for item in before.store.groups.all()
    ]


def test_what_is_forgotten_stays_forgotten() -> None:
    paper = Paper()
    before = fleet(journal=paper)
    before.store.groups.remove("batch-1")
    before.store.authorities.delete("dps", "root")
    after = Service(journal=paper)
    assert after.register(after.show("dev-1", LEAF)).status == 404
    assert after.store.authorities.anchors("dps") == ()


def test_a_registration_that_waited_for_a_webhook_ends_with_the_certificate_it_began_with() -> (
    None
):
    paper = Paper()
    before = Service(journal=paper)
    before.ca("root", ROOT)
    custom = {"webhookUrl": HOOK, "apiVersion": "2021-10-01"}
    before.signed("batch-1", BATCH, allocationPolicy="custom", customAllocationDefinition=custom)
    operation = before.register(before.show("dev-1", LEAF)).document["operationId"]
    context = json.loads(before.calls[0].body)["deviceRuntimeContext"]
    assert context["x509"]["certificateInfo"]["sha256Thumbprint"] == LEAF.sha256
    after = Service(journal=paper)
    body = json.dumps({"iotHubHostName": "hub-a"}).encode()
    after.dps.webhook_answered(operation, 200, body, after.now_at)
    (device,) = after.devices()
    assert device.thumbprints == (LEAF.sha256, LEAF.sha256)
    state = after.dps.poll(after.show("dev-1", LEAF), operation, after.now_at)
    assert state.status == 202


def test_all_services_remember_their_authorities_and_the_issuer() -> None:
    world = World()
    services = world.services
    root = make_root("Kept")
    batch = make_ca(root, "Kept batch")
    for owner in ("dps", "127.0.0.2"):
        services.authorities.put(owner, "root", root.certificate, True, 1.0, bytes)
    world.dps(
        "PUT",
        "/enrollmentGroups/kept",
        {
            "attestation": {
                "type": "x509",
                "x509": {"signingCertificates": {"primary": {"certificate": batch.pem}}},
            }
        },
    )
    again = world.made(world.paper)
    assert remembered(again) == remembered(services)
    assert again.authorities.all("dps") == services.authorities.all("dps")
    hub = again.hubs["127.0.0.2"]
    assert [*hub.trust.authorities()] == [root.certificate]
    assert [*hub.trust.issuers()] == [*services.issuer.anchors]
    assert [*again.hubs["localhost"].trust.authorities()] == []
