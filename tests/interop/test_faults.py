"""Faults as programs that we did not write see them: Microsoft's Python SDK, paho and curl."""

import itertools
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import paho.mqtt.client as paho  # type: ignore[import-untyped]
import pytest
from azure.iot.device import exceptions as sdk_errors

from firstlight.emulator.running import RunningAzure
from tests.emulator.peers import token
from tests.interop.places import PATIENCE_S
from tests.interop.test_azure_iot_device import register

pytestmark = pytest.mark.filterwarnings(
    "ignore:ssl.PROTOCOL_TLSv1_2 is deprecated:DeprecationWarning"
)
_IDS = (f"faulty-{number}" for number in itertools.count(1))


@pytest.fixture
def id(azure: RunningAzure) -> Iterator[str]:
    """A registration id of the test's own; its faults are gone after the test."""
    yield next(_IDS)
    azure.clear_faults()


@pytest.mark.parametrize(
    "faults",
    [
        ["register refuse status=429 retry_after=1 times=1"],
        ["poll assigning times=2 retry_after=1", "poll refuse status=500 after=2 times=1"],
        ["answer duplicate", "packet-out split size=1"],
        ["answer retry-after name=Retry-After", "poll-answer payload"],
        ["connack delay seconds=1", "register-answer delay seconds=1"],
    ],
)
def test_the_sdk_registers_in_spite_of_what_it_can_bear(
    azure: RunningAzure, id: str, faults: list[str]
) -> None:
    for fault in faults:
        azure.add_fault(f"{fault} device={id}")
    key = azure.enroll_device(id).keys.primary_b64
    result = register(azure, id, key)
    assert (result.status, result.registration_state.assigned_hub) == ("assigned", azure.host)
    assert all(fault["hits"] for fault in azure.faults())


@pytest.mark.parametrize("fault", ["register disabled", "poll-answer failed code=400207"])
def test_the_sdk_tells_a_registration_that_came_to_nothing(
    azure: RunningAzure, id: str, fault: str
) -> None:
    azure.add_fault(f"{fault} device={id}")
    key = azure.enroll_device(id).keys.primary_b64
    try:
        status = register(azure, id, key).status
    except sdk_errors.ClientError as error:
        status = str(error.__cause__ or error)
    assert "disabled" in status or "failed" in status.lower()


def connected(azure: RunningAzure, id: str) -> list[Any]:
    """What paho is told when it connects to DPS and subscribes: codes, in order."""
    key = azure.enroll_device(id).keys.primary_b64
    resource = f"{azure.id_scope}/registrations/{id}"
    told: list[Any] = []
    client = paho.Client(client_id=id)
    client.tls_set_context(ssl.create_default_context(cafile=str(azure.root_pem)))
    client.username_pw_set(f"{resource}/api-version=2019-03-31", token(resource, key))
    client.on_connect = lambda *words: told.append(words[3])
    client.on_subscribe = lambda *words: told.append(words[3])
    client.connect(azure.host, azure.mqtt_port)
    client.subscribe("$dps/registrations/res/#", 1)
    deadline = time.monotonic() + PATIENCE_S
    while len(told) < 2 and client.loop(0.1) == 0 and time.monotonic() < deadline:
        pass
    client.disconnect()
    client.loop(0.1)
    return told


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("pingresp drop", [0, (1,)]),
        ("connect refuse code=3", [3]),
        ("suback code value=128", [0, (128,)]),
        ("subscribe refuse", [0, (128,)]),
        ("packet-out split size=1", [0, (1,)]),
    ],
)
def test_paho_reads_the_codes_that_a_fault_sends(
    azure: RunningAzure, id: str, fault: str, told: list[Any]
) -> None:
    azure.add_fault(f"{fault} device={id}")
    assert connected(azure, id) == told


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("expired", "certificate has expired"),
        ("not-yet-valid", "certificate is not yet valid"),
        ("unknown-root", "unable to get local issuer certificate"),
        ("wrong-name", "no alternative certificate subject name matches"),
    ],
)
def test_curl_refuses_a_wrong_certificate(
    azure: RunningAzure, id: str, program: Callable[[str], str], kind: str, why: str
) -> None:
    azure.add_fault(f"hello certificate kind={kind} over=https")
    done = subprocess.run(
        [program("curl"), "--silent", "--show-error", "--cacert", str(azure.root_pem),
         f"https://{azure.host}:{azure.https_port}/emulator/info"],
        capture_output=True, text=True, timeout=PATIENCE_S, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (60, "")
    assert why in done.stderr
