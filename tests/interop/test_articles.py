"""What the articles on DPS over REST print, run as they print it: the host alone is another's.

Bash, openssl, curl and a Python script in the article's form. curl keeps the article's URL, with
DPS's own name; --connect-to alone says where that is. The article has the token on curl's command
line, and so has the test: it is a token of a local Azure that ends with the test.
"""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from firstlight.emulator.running import RunningAzure
from tests.interop.places import PATIENCE_S

DPS = "global.azure-devices-provisioning.net"
# The article's script is for Python 2; its parts, in its order, for Python 3.
SAS_SCRIPT = """
import sys
from base64 import b64decode, b64encode
from hashlib import sha256
from hmac import HMAC
from time import time
from urllib.parse import quote_plus, urlencode
uri, key, expiry, policy = sys.stdin.read().split()
ttl = time() + int(expiry)
sign_key = "%s\\n%d" % (quote_plus(uri), int(ttl))
signature = b64encode(HMAC(b64decode(key), sign_key.encode(), sha256).digest())
raw = {"sr": uri, "sig": signature, "se": str(int(ttl)), "skn": policy}
print("SharedAccessSignature " + urlencode(raw))
"""
DERIVE = """
keybytes=$(echo $KEY | base64 --decode | xxd -p -u -c 1000)
echo -n $REG_ID | openssl sha256 -mac HMAC -macopt hexkey:$keybytes -binary | base64
"""


@dataclass(frozen=True)
class Reply:
    """What `curl -i` printed."""

    status: int
    headers: dict[str, str]
    document: Any


@dataclass(frozen=True)
class Curl:
    """The article's curl, at a local Azure."""

    path: str
    azure: RunningAzure

    def __call__(self, *words: str) -> Reply:
        where = f"{DPS}:443:{self.azure.host}:{self.azure.https_port}"
        ours = ["-sS", "--cacert", str(self.azure.root_pem), "--connect-to", where]
        done = subprocess.run(
            [self.path, *ours, "-L", "-i", *words],
            capture_output=True,
            timeout=PATIENCE_S,
            check=False,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        head, _, body = done.stdout.partition("\n\n")
        first, *rest = head.splitlines()
        pairs = (line.partition(": ") for line in rest)
        headers = {name.lower(): value for name, _, value in pairs}
        return Reply(int(first.split()[1]), headers, json.loads(body) if body else None)


@pytest.fixture
def curl(program: Callable[[str], str], azure: RunningAzure) -> Curl:
    return Curl(program("curl"), azure)


def sas(uri: str, key: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", SAS_SCRIPT],
        input=f"{uri} {key} 3600000 registration",
        capture_output=True,
        timeout=PATIENCE_S,
        check=True,
        text=True,
    )
    return done.stdout.strip()


def register(curl: Curl, id: str, token: str) -> Reply:
    """The article's first command."""
    return curl(
        *("-X", "PUT", "-H", "Content-Type: application/json"),
        *("-H", "Content-Encoding:  utf-8", "-H", f"Authorization: {token}"),
        *("-d", json.dumps({"registrationId": id})),
        f"https://{DPS}/{curl.azure.id_scope}/registrations/{id}/register?api-version=2019-03-31",
    )


def status(curl: Curl, id: str, token: str, operation_id: str) -> Reply:
    """The article's second command."""
    return curl(
        *("-X", "GET", "-H", "Content-Type: application/json"),
        *("-H", "Content-Encoding:  utf-8", "-H", f"Authorization: {token}"),
        f"https://{DPS}/{curl.azure.id_scope}/registrations/{id}/operations/{operation_id}"
        "?api-version=2019-03-31",
    )


def lookup(curl: Curl, id: str, token: str) -> Reply:
    """The device registration status lookup of Azure's article on access to DPS."""
    return curl(
        *("-X", "POST", "-H", "Content-Type: application/json", "-H", f"Authorization: {token}"),
        *("-d", json.dumps({"registrationId": id})),
        f"https://{DPS}/{curl.azure.id_scope}/registrations/{id}?api-version=2021-06-01",
    )


def test_an_individual_enrollment_registers_with_two_commands(
    azure: RunningAzure, curl: Curl
) -> None:
    id = "dps-sym-key-test01"
    key = azure.enroll_device(id).keys.primary_b64
    token = sas(f"{azure.id_scope}/registrations/{id}", key)
    first = register(curl, id, token)
    assert (first.status, first.document["status"]) == (202, "assigning")
    assert re.fullmatch(r"[45]\.[0-9a-f]{16}\.[0-9a-f-]{36}", first.document["operationId"])
    assert "retry-after" in first.headers
    assert f"/registrations/{id}/register" in first.headers["location"]
    assert first.headers["x-ms-request-id"]
    second = first
    while second.status == 202:
        second = status(curl, id, token, first.document["operationId"])
    assert (second.status, second.document["status"]) == (200, "assigned")
    state = second.document["registrationState"]
    assert (state["registrationId"], state["deviceId"]) == (id, id)
    assert (state["assignedHub"], state["substatus"]) == (azure.host, "initialAssignment")
    found = lookup(curl, id, token)
    assert found.status == 200
    assert found.document["assignedHub"] == azure.host


def test_openssl_derives_the_key_of_a_groups_device(
    azure: RunningAzure, curl: Curl, program: Callable[[str], str]
) -> None:
    id = "dps-test-sym-device01"
    program("xxd")
    program("openssl")
    group = azure.enroll_group("dps-test-sym-group1")
    done = subprocess.run(
        [program("bash"), "-c", f"read KEY; REG_ID={id}{DERIVE}"],
        input=group.keys.primary_b64 + "\n",
        capture_output=True,
        timeout=PATIENCE_S,
        check=True,
        text=True,
    )
    token = sas(f"{azure.id_scope}/registrations/{id}", done.stdout.strip())
    reply = register(curl, id, token)
    assert (reply.status, reply.document["status"]) == (202, "assigning")


def test_a_wrong_token_is_told_in_the_services_form(azure: RunningAzure, curl: Curl) -> None:
    azure.enroll_device("curl-wrong")
    token = sas(f"{azure.id_scope}/registrations/curl-wrong", "d3JvbmctYnV0LWxvbmctZW5vdWdo")
    reply = register(curl, "curl-wrong", token)
    assert reply.status == 401
    assert reply.document["errorCode"] == int(reply.headers["x-ms-error-code"]) == 401002
    assert set(reply.document) >= {"trackingId", "message", "timestampUtc"}


def test_a_status_of_an_operation_that_is_not_there(azure: RunningAzure, curl: Curl) -> None:
    key = azure.enroll_device("curl-lost").keys.primary_b64
    token = sas(f"{azure.id_scope}/registrations/curl-lost", key)
    operation = "4.d0a671905ea5b2c8.42d78160-4c78-479e-8be7-61d5e55dac0d"
    reply = status(curl, "curl-lost", token, operation)
    assert (reply.status, reply.document["errorCode"]) == (404, 404203)
