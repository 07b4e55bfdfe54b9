"""Microsoft's own SDKs with X.509 against the local Azure: enrolled, registered, at the hub.

The device SDKs of Python and Node by each transport, the service SDKs of both for what they enroll
and create. A registration with the Python SDK waits for two seconds (its own first poll), so those
of a module go side by side.
"""

import gc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from azure.iot.device import X509, IoTHubDeviceClient, ProvisioningDeviceClient
from azure.iot.hub import IoTHubRegistryManager

from firstlight.emulator.running import RunningAzure
from tests.certificates import Issued, make_ca, make_leaf, make_root
from tests.interop.conftest import StartNode
from tests.interop.nodes import NodeError, NodeScript
from tests.interop.papers import Papers, written
from tests.interop.places import hub_connection_string, may_have_443

# What the Python SDK itself does; nothing of ours is let off.
pytestmark = [
    pytest.mark.filterwarnings("ignore:ssl.PROTOCOL_TLSv1_2 is deprecated:DeprecationWarning"),
    # paho's pair of sockets, which the SDK leaves to the garbage collector, in a circle.
    pytest.mark.filterwarnings(
        r"ignore:unclosed <socket.*laddr=\('127.0.0.1', \d+\), raddr=\('127.0.0.1':ResourceWarning"
    ),
]
BY_PYTHON = pytest.mark.parametrize("transport", ["mqtt", "ws"])
BY_NODE = pytest.mark.parametrize("transport", ["mqtt", "ws", "http"])
WAYS = ("primary", "secondary", "intermediate", "root")
EACH_WAY = pytest.mark.parametrize("way", WAYS)


@cache
def root() -> Issued:
    return make_root("Interop Root")


@cache
def batch() -> Issued:
    """What the group by intermediate is made of."""
    return make_ca(root(), "Interop Batch 1")


@cache
def other_root() -> Issued:
    """What the group by root is made of."""
    return make_root("Interop Root 2")


def enrolled(azure: RunningAzure, way: str, id: str) -> Issued:
    """Enroll a device in one of the ways there are; what it shows."""
    if way in ("primary", "secondary"):
        pair = {which: make_leaf(None, id) for which in ("primary", "secondary")}
        azure.enroll_x509(id, pair["primary"].pem, pair["secondary"].pem)
        return pair[way]
    if way == "intermediate":
        azure.add_ca("root-1", root().pem)
        azure.enroll_x509_group("batch-1", batch().pem)
        return make_leaf(make_ca(batch(), f"line of {id}"), id)
    azure.add_ca("root-2", other_root().pem)
    azure.enroll_x509_group("all", ca_name="root-2")
    return make_leaf(make_ca(other_root(), f"line of {id}"), id)


# Python.


def x509(papers: Papers) -> X509:
    return X509(str(papers.chain), str(papers.key))  # type: ignore[no-untyped-call]


def register(azure: RunningAzure, id: str, papers: Papers, transport: str) -> Any:
    """What the SDK makes of the answer."""
    client = ProvisioningDeviceClient.create_from_x509_certificate(
        azure.host,
        id,
        azure.id_scope,
        x509(papers),
        server_verification_cert=azure.root_pem.read_text(),
        websockets=transport == "ws",
    )
    return client.register()


Registered = dict[tuple[str, str], tuple[Papers, Any]]


@pytest.fixture(scope="module")
def registered(azure: RunningAzure, tmp_path_factory: pytest.TempPathFactory) -> Registered:
    """A device of each way, registered by each transport: its papers, and what DPS said."""
    folder = tmp_path_factory.mktemp("papers")
    transports = ("mqtt", "ws") if may_have_443() else ("mqtt",)
    papers = {
        (way, transport): written(folder, enrolled(azure, way, f"py-{way}-{transport}"))
        for way in WAYS
        for transport in transports
    }
    with ThreadPoolExecutor(len(papers)) as pool:
        asked = {
            case: pool.submit(register, azure, "py-{}-{}".format(*case), papers[case], case[1])
            for case in papers
        }
    found = {case: (papers[case], future.result()) for case, future in asked.items()}
    gc.collect()
    return found


@EACH_WAY
@BY_PYTHON
def test_the_python_sdk_registers_and_goes_to_its_hub(
    azure: RunningAzure, registered: Registered, way: str, transport: str
) -> None:
    papers, result = registered[way, transport]
    state, id = result.registration_state, f"py-{way}-{transport}"
    assert (result.status, state.sub_status) == ("assigned", "initialAssignment")
    assert (state.assigned_hub, state.device_id) == (azure.host, id)
    hub = IoTHubDeviceClient.create_from_x509_certificate(
        x509(papers),
        state.assigned_hub,
        state.device_id,
        server_verification_cert=azure.root_pem.read_text(),
        websockets=transport == "ws",
    )
    try:
        hub.connect()
        hub.send_message("21.5")
        twin = hub.get_twin()
    finally:
        hub.shutdown()
        del hub
        gc.collect()
    assert [found.body for found in azure.wait_for_telemetry(1, id)] == [b"21.5"]
    assert twin["desired"] == {"$version": 1}


# Node.


@pytest.fixture
def device(start_node: StartNode, azure: RunningAzure) -> NodeScript:
    return start_node("device.js", azure)


def register_by_node(
    device: NodeScript, azure: RunningAzure, transport: str, id: str, papers: Papers
) -> dict[str, Any]:
    found: dict[str, Any] = device.do(
        "register",
        transport=transport,
        host=azure.host,
        idScope=azure.id_scope,
        registrationId=id,
        x509=papers.text,
    )
    return found


@BY_NODE
def test_the_node_sdk_registers_and_goes_to_its_hub(
    device: NodeScript, azure: RunningAzure, tmp_path: Path, transport: str
) -> None:
    for way in WAYS:
        id = f"node-{way}-{transport}"
        papers = written(tmp_path, enrolled(azure, way, id))
        state = register_by_node(device, azure, transport, id, papers)
        assert (state["status"], state["substatus"]) == ("assigned", "initialAssignment")
        assert (state["assignedHub"], state["deviceId"]) == (azure.host, id)
        words = f"HostName={azure.host};DeviceId={id};x509=true"
        device.do("connect", transport=transport, connectionString=words, x509=papers.text)
        device.do("send", body=way)
        assert [found.body for found in azure.wait_for_telemetry(1, id)] == [way.encode()]
        if transport != "http" and way in ("primary", "root"):
            assert device.do("twin")["desired"] == {"$version": 1}
        device.do("close")


@BY_NODE
def test_the_node_sdk_is_told_that_its_certificate_is_not_the_enrolled_one(
    device: NodeScript, azure: RunningAzure, tmp_path: Path, transport: str
) -> None:
    id = f"node-stranger-{transport}"
    azure.enroll_x509(id, make_leaf(None, id).pem)
    papers = written(tmp_path, make_leaf(None, id))
    with pytest.raises(NodeError, match="nauthorized"):
        register_by_node(device, azure, transport, id, papers)


# What the service SDKs enroll and create.


@pytest.fixture
def service(start_node: StartNode, azure: RunningAzure, port_443: None) -> NodeScript:
    script = start_node("service.js", azure)
    script.do("dps", connectionString=azure.connection_string)
    script.do("hub", connectionString=hub_connection_string(azure))
    return script


def attestation(form: str, **certificates: str) -> dict[str, Any]:
    pair = {which: {"certificate": text} for which, text in certificates.items()}
    return {"type": "x509", "x509": {form: pair}}


def put(service: NodeScript, method: str, document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = service.do("call", part="dps", method=method, args=[document])
    return found


def test_the_node_service_sdk_enrolls_a_device_by_two_certificates(
    device: NodeScript, service: NodeScript, azure: RunningAzure, tmp_path: Path
) -> None:
    id = "enrolled-by-node"
    first, second = make_leaf(None, id), make_leaf(None, id)
    both = attestation("clientCertificates", primary=first.pem, secondary=second.pem)
    made = put(
        service,
        "createOrUpdateIndividualEnrollment",
        {"registrationId": id, "attestation": both},
    )
    shown = made["attestation"]["x509"]["clientCertificates"]
    for which, issued in (("primary", first), ("secondary", second)):
        assert shown[which]["info"]["sha256Thumbprint"] == issued.sha256
        assert shown[which]["info"]["subjectName"] == f"CN={id}"
    for issued in (first, second):
        papers = written(tmp_path, issued)
        assert register_by_node(device, azure, "mqtt", id, papers)["status"] == "assigned"


def test_the_node_service_sdk_enrolls_a_group_and_revokes_one_device_of_it(
    device: NodeScript, service: NodeScript, azure: RunningAzure, tmp_path: Path
) -> None:
    signer = make_root("Interop Root 3")
    azure.add_ca("root-3", signer.pem)
    intermediate = make_ca(signer, "Interop Batch 3")
    by_node = attestation("signingCertificates", primary=intermediate.pem)
    made = put(
        service,
        "createOrUpdateEnrollmentGroup",
        {"enrollmentGroupId": "by-node", "attestation": by_node},
    )
    shown = made["attestation"]["x509"]["signingCertificates"]["primary"]["info"]
    assert shown["sha256Thumbprint"] == intermediate.sha256
    good, bad = (make_leaf(intermediate, id) for id in ("of-group-1", "of-group-2"))
    for issued, id in ((good, "of-group-1"), (bad, "of-group-2")):
        papers = written(tmp_path, issued)
        state = register_by_node(device, azure, "mqtt", id, papers)
        assert state["x509"]["enrollmentGroupId"] == "by-node"
    revoked = {
        "registrationId": "of-group-2",
        "attestation": attestation("clientCertificates", primary=bad.pem),
        "provisioningStatus": "disabled",
    }
    put(service, "createOrUpdateIndividualEnrollment", revoked)
    with pytest.raises(NodeError):
        register_by_node(device, azure, "mqtt", "of-group-2", written(tmp_path, bad))
    state = register_by_node(device, azure, "mqtt", "of-group-1", written(tmp_path, good))
    assert state["status"] == "assigned"


def at_hub(device: NodeScript, azure: RunningAzure, id: str, papers: Papers, body: str) -> None:
    words = f"HostName={azure.host};DeviceId={id};x509=true"
    device.do("connect", transport="mqtt", connectionString=words, x509=papers.text)
    device.do("send", body=body)
    device.do("close")


@pytest.fixture
def manager(azure: RunningAzure, port_443: None) -> Iterator[IoTHubRegistryManager]:
    text = hub_connection_string(azure)
    made = IoTHubRegistryManager.from_connection_string(text)
    made.protocol.config.connection.verify = str(azure.root_pem)
    yield made
    made.protocol.close()


Create = Callable[[IoTHubRegistryManager, NodeScript, str, list[str]], object]


def by_python(
    manager: IoTHubRegistryManager, _: NodeScript, id: str, thumbprints: list[str]
) -> None:
    manager.create_device_with_x509(id, *thumbprints, "enabled")


def by_node(
    _: IoTHubRegistryManager, service: NodeScript, id: str, thumbprints: list[str]
) -> None:
    names = ("primaryThumbprint", "secondaryThumbprint")
    pair = dict(zip(names, thumbprints, strict=True))
    identity = {"deviceId": id, "authentication": {"type": "selfSigned", "x509Thumbprint": pair}}
    service.do("call", part="registry", method="create", args=[identity])


@pytest.mark.parametrize("create", [by_python, by_node])
def test_a_device_made_with_two_thumbprints_shows_either_certificate(
    manager: IoTHubRegistryManager,
    service: NodeScript,
    device: NodeScript,
    azure: RunningAzure,
    tmp_path: Path,
    create: Create,
) -> None:
    id = f"thumb-{create.__name__}"
    first, second = make_leaf(None, id), make_leaf(None, id)
    create(manager, service, id, [first.sha1, second.sha256])
    at_hub(device, azure, id, written(tmp_path, first), "first")
    at_hub(device, azure, id, written(tmp_path, second), "second")
    found = [message.body for message in azure.wait_for_telemetry(2, id)]
    assert found == [b"first", b"second"]
    with pytest.raises(NodeError):
        at_hub(device, azure, id, written(tmp_path, make_leaf(None, id)), "third")


def test_a_device_made_by_authority_shows_what_the_hubs_ca_signed(
    manager: IoTHubRegistryManager, device: NodeScript, azure: RunningAzure, tmp_path: Path
) -> None:
    id, signer = "by-authority", make_root("Hub Root")
    azure.add_ca("hub-root", signer.pem, owner=azure.host)
    manager.create_device_with_certificate_authority(id, "enabled")
    good = make_leaf(make_ca(signer, "Hub Batch"), id)
    at_hub(device, azure, id, written(tmp_path, good), "signed")
    assert [found.body for found in azure.wait_for_telemetry(1, id)] == [b"signed"]
    for bad, chain in ((good, good.pem), (make_leaf(root(), id), None)):
        with pytest.raises(NodeError):
            at_hub(device, azure, id, written(tmp_path, bad, chain), "never")
