"""What a device is told whose certificate is wrong: each fault, by each of three judges.

paho sees the topic and the document, Microsoft's Python and Node SDKs what they make of it. What
is documented of each: azure/iot-dps/how-to-troubleshoot-dps (401, Unauthorized), and the messages
that devices were seen to get (protocol.md 2.6; emulator/dps/presented.py names them).
"""

import gc
import json
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from azure.iot.device import X509, ProvisioningDeviceClient
from azure.iot.device import exceptions as sdk_errors

from firstlight.emulator.running import RunningAzure
from tests.certificates import Issued, make, make_ca, make_leaf, make_root
from tests.interop.conftest import StartNode
from tests.interop.handwork import Paho, Shell, shell_at
from tests.interop.nodes import NodeError
from tests.interop.papers import Papers, written
from tests.interop.test_azure_iot_device import end

# What the Python SDK itself does; nothing of ours is let off.
pytestmark = [
    pytest.mark.filterwarnings("ignore:ssl.PROTOCOL_TLSv1_2 is deprecated:DeprecationWarning"),
    # paho's pair of sockets, which the SDK leaves to the garbage collector, in a circle.
    pytest.mark.filterwarnings(
        r"ignore:unclosed <socket.*laddr=\('127.0.0.1', \d+\), raddr=\('127.0.0.1':ResourceWarning"
    ),
]
UNAUTHORIZED = "Unauthorized"
INVALID = "Invalid certificate."
NO_CA = "CA certificate not found."
NO_GROUP = "Signing certificate info did not match chain elements."


@dataclass(frozen=True)
class Fleet:
    """A verified root, the group's intermediate, and another root that nobody verified."""

    root: Issued
    group: Issued
    unverified: Issued


def pem(*certificates: Issued) -> str:
    return "".join(one.pem for one in certificates)


Made = tuple[Issued, str | None]  # a device, and what it sends if not its own chain


def incomplete(fleet: Fleet, id: str) -> Made:
    leaf = make_leaf(make_ca(fleet.group, "line"), id)
    return leaf, pem(leaf, fleet.group)


def leaf_alone(fleet: Fleet, id: str) -> Made:
    leaf = make_leaf(fleet.group, id)
    return leaf, leaf.pem


def misordered(fleet: Fleet, id: str) -> Made:
    line = make_ca(fleet.group, "line")
    leaf = make_leaf(line, id)
    return leaf, pem(leaf, fleet.group, line)


def wrong_name(fleet: Fleet, id: str) -> Made:
    return make_leaf(fleet.group, f"{id}-x"), None


def expired(fleet: Fleet, id: str) -> Made:
    return make_leaf(fleet.group, id, days=-1, since_days=-2), None


def not_yet_valid(fleet: Fleet, id: str) -> Made:
    return make_leaf(fleet.group, id, days=2, since_days=1), None


def expired_intermediate(fleet: Fleet, id: str) -> Made:
    return make_leaf(make_ca(fleet.group, "line", days=-1, since_days=-2), id), None


def unverified_ca(fleet: Fleet, id: str) -> Made:
    return make_leaf(make_ca(fleet.unverified, "batch"), id), None


def unknown_ca(_: Fleet, id: str) -> Made:
    return make_leaf(make_ca(make_root("Unknown"), "batch"), id), None


def no_group(fleet: Fleet, id: str) -> Made:
    return make_leaf(make_ca(fleet.root, "a batch without a group"), id), None


def no_ca(fleet: Fleet, id: str) -> Made:
    return make_leaf(make_leaf(fleet.group, "no CA"), id), None


def forged(fleet: Fleet, id: str) -> Made:
    """Signed by somebody who calls himself as the group's intermediate."""
    name = fleet.group.certificate.subject
    leaf = make(make_root("Forger"), id, ca=False, issuer_name=name)
    return leaf, pem(leaf, fleet.group)


FAULTS = pytest.mark.parametrize(
    ("fault", "message"),
    [
        (incomplete, NO_CA),
        (leaf_alone, NO_CA),
        (misordered, NO_CA),
        (wrong_name, UNAUTHORIZED),
        (expired, INVALID),
        (not_yet_valid, INVALID),
        (expired_intermediate, INVALID),
        (unverified_ca, NO_CA),
        (unknown_ca, NO_CA),
        (no_group, NO_GROUP),
        (no_ca, INVALID),
        (forged, INVALID),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)
Fault = Callable[[Fleet, str], Made]


@pytest.fixture(scope="module")
def fleet(azure: RunningAzure) -> Fleet:
    root, unverified = make_root("Verified"), make_root("Unverified")
    azure.add_ca("verified", root.pem)
    azure.add_ca("unverified", unverified.pem, verified=False)
    group = make_ca(root, "Batch")
    azure.enroll_x509_group("fleet", group.pem)
    return Fleet(root, group, unverified)


def papers_of(folder: Path, made: Made) -> Papers:
    return written(folder, *made)


def answer(azure: RunningAzure, id: str, papers: Papers) -> tuple[str, Any]:
    """What paho is told, once it is not assigning any more."""
    tls = ssl.create_default_context(cafile=str(azure.root_pem))
    tls.load_cert_chain(papers.chain, papers.key)
    with Paho(azure, id, tls) as device:
        topic, document = device.register()
        while document.get("status") == "assigning":
            topic, document = device.poll(document["operationId"])
        return topic, document


def by_python(azure: RunningAzure, id: str, papers: Papers) -> str:
    """Why the Python SDK says that it could not register."""
    client = ProvisioningDeviceClient.create_from_x509_certificate(
        azure.host,
        id,
        azure.id_scope,
        X509(str(papers.chain), str(papers.key)),  # type: ignore[no-untyped-call]
        server_verification_cert=azure.root_pem.read_text(),
    )
    try:
        client.register()
    except sdk_errors.ClientError as error:
        return str(error.__cause__)
    finally:
        end(client)
        del client
        gc.collect()
    raise AssertionError("it registered")


@FAULTS
def test_a_wrong_certificate_is_told_by_topic_and_document(
    azure: RunningAzure, fleet: Fleet, tmp_path: Path, fault: Fault, message: str
) -> None:
    id = f"paho-{fault.__name__.replace('_', '-')}"
    topic, document = answer(azure, id, papers_of(tmp_path, fault(fleet, id)))
    assert topic == "$dps/registrations/res/401/?$rid=1"
    assert (document["errorCode"], document["message"]) == (401002, message)
    assert document["trackingId"]
    assert document["timestampUtc"]


@pytest.mark.parametrize("fault", [fault for fault, _ in FAULTS.args[1]])
def test_the_python_sdk_is_told_that_it_is_unauthorized(
    azure: RunningAzure, fleet: Fleet, tmp_path: Path, fault: Fault
) -> None:
    id = f"py-{fault.__name__.replace('_', '-')}"
    said = by_python(azure, id, papers_of(tmp_path, fault(fleet, id)))
    assert "service error status code 401" in said


@pytest.mark.parametrize("transport", ["mqtt", "http"])
def test_the_node_sdk_is_told_of_every_fault(
    start_node: StartNode, azure: RunningAzure, fleet: Fleet, tmp_path: Path, transport: str
) -> None:
    device = start_node("device.js", azure)
    for fault, message in FAULTS.args[1]:
        id = f"node-{transport}-{fault.__name__.replace('_', '-')}"
        with pytest.raises(NodeError, match="nauthorized") as caught:
            device.do(
                "register",
                transport=transport,
                host=azure.host,
                idScope=azure.id_scope,
                registrationId=id,
                x509=papers_of(tmp_path, fault(fleet, id)).text,
            )
        if transport == "http":  # over MQTT it keeps the rest to itself
            told = json.loads(caught.value.body)
            assert (told["errorCode"], told["message"]) == (401002, message)


def test_a_good_certificate_of_the_same_fleet_is_assigned(
    azure: RunningAzure, fleet: Fleet, tmp_path: Path
) -> None:
    line = make_ca(fleet.group, "line")
    for id, more in (("good", ()), ("with-root", (fleet.root,))):
        leaf = make_leaf(line, id)
        papers = written(tmp_path, leaf, pem(*leaf.path, *more))
        topic, document = answer(azure, id, papers)
        assert (topic.split("/")[3], document["status"]) == ("200", "assigned")


def test_a_unit_that_is_disabled_is_told_so_and_the_others_of_its_group_are_not(
    azure: RunningAzure, fleet: Fleet, tmp_path: Path
) -> None:
    bad, good = make_leaf(fleet.group, "bad-unit"), make_leaf(fleet.group, "good-unit")
    shown = {name: written(tmp_path, one) for name, one in (("bad", bad), ("good", good))}
    assert answer(azure, "bad-unit", shown["bad"])[1]["status"] == "assigned"
    azure.enroll_x509("bad-unit", bad.pem, provisioningStatus="disabled")
    topic, document = answer(azure, "bad-unit", shown["bad"])
    assert (topic.split("/")[3], document["status"]) == ("200", "disabled")
    assert "registration status disabled" in by_python(azure, "bad-unit", shown["bad"])
    assert answer(azure, "good-unit", shown["good"])[1]["status"] == "assigned"


@pytest.fixture
def shell(program: Callable[[str], str], azure: RunningAzure, tmp_path: Path) -> Shell:
    return shell_at(program, tmp_path, azure)


def test_a_hub_refuses_another_certificate_than_the_one_it_was_given(
    azure: RunningAzure, fleet: Fleet, shell: Shell
) -> None:
    id = "at-the-hub"
    leaf = make_leaf(fleet.group, id)
    good = written(shell.folder, leaf)
    assert answer(azure, id, good)[1]["status"] == "assigned"
    at_hub = (
        "mosquitto_pub -h $HOST -p $PORT --cafile $ROOT --cert $CERT --key $KEY -V mqttv311 -q 1"
        f' -i {id} -u "$HOST/{id}/?api-version=2021-04-12" -m hello'
        f" -t devices/{id}/messages/events/"
    )

    def tried(papers: Papers) -> int:
        return shell.having(CERT=str(papers.chain), KEY=str(papers.key)).run(at_hub).code

    assert tried(good) == 0
    assert tried(written(shell.folder, make_leaf(fleet.group, id))) == 5
    assert tried(written(shell.folder, make_leaf(None, id))) == 5
    azure.enroll_x509(id, leaf.pem, provisioningStatus="disabled")
    assert tried(good) == 0  # as at Azure: DPS has no say at the hub once a device is there
    assert [found.body for found in azure.wait_for_telemetry(2, id)] == [b"hello", b"hello"]
