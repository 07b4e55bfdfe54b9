"""Shared access policies: who holds which key may do what, until when, and where."""

import pytest

from firstlight.emulator.answers import Refusal
from firstlight.emulator.policies import (
    DEVICE_CONNECT,
    DPS_POLICIES,
    HUB_POLICIES,
    REGISTRY_READ,
    REGISTRY_WRITE,
    SERVICE_CONNECT,
    Policies,
    covers,
)
from tests.emulator.hubs import NOW, Book, random_bytes
from tests.emulator.peers import token

HOSTS = frozenset(("my-hub", "my-hub:8443"))


def some_policies() -> Policies:
    return Policies("my-hub", HUB_POLICIES, random_bytes)


def signed(policies: Policies, name: str, resource: str = "my-hub", se: int = 0) -> str:
    policy = policies.get(name)
    assert policy is not None
    return token(resource, policy.keys.secondary_b64, se or int(NOW) + 60, name)


@pytest.mark.parametrize(
    ("name", "right", "allowed"),
    [
        ("iothubowner", REGISTRY_WRITE, True),
        ("iothubowner", DEVICE_CONNECT, True),
        ("service", SERVICE_CONNECT, True),
        ("service", REGISTRY_READ, False),
        ("device", SERVICE_CONNECT, False),
        ("registryRead", REGISTRY_READ, True),
        ("registryRead", REGISTRY_WRITE, False),
        ("registryReadWrite", REGISTRY_WRITE, True),
        ("registryReadWrite", SERVICE_CONNECT, False),
    ],
)
def test_a_policy_has_azures_rights_and_no_others(name: str, right: str, allowed: bool) -> None:
    policies = some_policies()
    if allowed:
        assert policies.authorize(signed(policies, name), HOSTS, right, NOW).name == name
        return
    with pytest.raises(Refusal, match="Unauthorized") as caught:
        policies.authorize(signed(policies, name), HOSTS, right, NOW)
    assert right in caught.value.why


def refusal_of(policies: Policies, header: str, path: str = "") -> str:
    with pytest.raises(Refusal) as caught:
        policies.authorize(header, HOSTS, SERVICE_CONNECT, NOW, path)
    assert (caught.value.status, caught.value.code) == (401, 401002)
    assert str(caught.value) == "Unauthorized"
    return caught.value.why


def test_a_token_that_is_not_right_is_refused_and_the_log_says_why() -> None:
    policies, others = some_policies(), some_policies()
    assert "Shared" in refusal_of(policies, "")
    assert "Shared" in refusal_of(policies, "Bearer abc")
    assert "expired" in refusal_of(policies, signed(policies, "service", se=int(NOW)))
    assert "key" in refusal_of(policies, signed(others, "service"))
    assert "another sr" in refusal_of(policies, signed(policies, "service", "their-hub"))
    assert "policy" in refusal_of(policies, signed(policies, "service").replace("=service", "=x"))
    narrow = signed(policies, "service", "my-hub/twins/a")
    assert "another sr" in refusal_of(policies, narrow, "twins/ab")


def test_a_token_may_be_for_a_part_of_the_service() -> None:
    policies = some_policies()
    narrow = signed(policies, "service", "MY-HUB:8443/twins")
    policies.authorize(narrow, HOSTS, SERVICE_CONNECT, NOW, "/twins/a")


@pytest.mark.parametrize(
    ("resource", "path", "covered"),
    [
        ("my-hub", "devices/a", True),
        ("My-Hub", "devices/a", True),
        ("my-hub/", "devices/a", True),
        ("my-hub/devices", "devices/a", True),
        ("my-hub/devices/a", "devices/a", True),
        ("my-hub/devices/a%23b", "devices/a#b", True),
        ("my-hub/devices/a", "devices/a/messages/events", True),
        ("my-hub/devices/a", "devices/ab", False),
        ("my-hub/devices/A", "devices/a", False),
        ("my-hub/devices/a/messages", "devices/a", False),
        ("my-hub.evil", "devices/a", False),
        ("", "devices/a", False),
    ],
)
def test_a_resource_covers_what_is_below_it(resource: str, path: str, covered: bool) -> None:
    assert covers(resource, HOSTS, path) is covered


def test_keys_are_made_once_and_found_again() -> None:
    book = Book()
    first = Policies("my-hub", HUB_POLICIES, random_bytes, book)
    again = Policies("my-hub", HUB_POLICIES, random_bytes, book)
    other = Policies("dps", DPS_POLICIES, random_bytes, book)
    assert first.connection_string("service", "h") == again.connection_string("service", "h")
    assert list(first) == list(again)
    assert {policy.name for policy in other} == set(DPS_POLICIES)


def test_a_connection_string_is_what_a_service_sdk_takes_and_a_repr_has_no_key() -> None:
    policies = some_policies()
    policy = policies.get("iothubowner")
    assert policy is not None
    key = policy.keys.primary_b64
    assert policies.connection_string("iothubowner", "localhost:8443") == (
        f"HostName=localhost:8443;SharedAccessKeyName=iothubowner;SharedAccessKey={key}"
    )
    assert key not in repr(policy) + repr(list(policies))
