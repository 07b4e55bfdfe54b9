"""A hub's service API: who may ask for what, and what is not served."""

import pytest

from firstlight.emulator.answers import Refusal
from firstlight.emulator.hub.methods import MethodCall
from tests.emulator.hubs import NOW
from tests.emulator.rest_calls import Bench, error

RIGHTS = [
    ("GET", "/devices", {"iothubowner", "registryRead", "registryReadWrite"}),
    ("GET", "/devices/dev", {"iothubowner", "registryRead", "registryReadWrite"}),
    ("PUT", "/devices/new", {"iothubowner", "registryReadWrite"}),
    ("DELETE", "/devices/dev", {"iothubowner", "registryReadWrite"}),
    ("POST", "/devices", {"iothubowner", "registryReadWrite"}),
    ("POST", "/devices/query", {"iothubowner", "registryRead", "registryReadWrite"}),
    ("GET", "/twins/dev", {"iothubowner", "service"}),
    ("PATCH", "/twins/dev", {"iothubowner", "service"}),
    ("PUT", "/twins/dev", {"iothubowner", "service"}),
    ("DELETE", "/devices/dev/commands", {"iothubowner", "service"}),
    ("POST", "/devices/dev/messages/deviceBound", {"iothubowner", "service"}),
    ("POST", "/messages/deviceBound", {"iothubowner", "service"}),
    ("GET", "/messages/serviceBound/feedback", {"iothubowner", "service"}),
    ("DELETE", "/messages/serviceBound/feedback/x", {"iothubowner", "service"}),
    ("POST", "/messages/serviceBound/feedback/x/abandon", {"iothubowner", "service"}),
    ("GET", "/statistics/devices", {"iothubowner", "registryRead", "registryReadWrite"}),
    ("GET", "/statistics/service", {"iothubowner", "service"}),
]


@pytest.mark.parametrize(("method", "path", "allowed"), RIGHTS)
@pytest.mark.parametrize(
    "policy", ["iothubowner", "service", "device", "registryRead", "registryReadWrite"]
)
def test_each_call_needs_its_right(method: str, path: str, allowed: set[str], policy: str) -> None:
    bench = Bench()
    bench.create()
    answer = bench.ask(method, path, {}, policy=policy)
    if policy in allowed:
        assert answer.status in (200, 204, 400, 412)
    else:
        assert error(answer) == (401, "IotHubUnauthorizedAccess")
        assert bench.hub.registry.get("dev") is not None


def test_a_call_without_an_api_version_or_a_token_is_refused() -> None:
    bench = Bench()
    call = bench.call("GET", "/devices?api-version=", b"", bench.signed("iothubowner"), {})
    assert error(bench.api.handle(call, NOW)) == (400, "InvalidProtocolVersion")
    call = bench.call("GET", "/devices", b"", "", {})
    assert error(bench.api.handle(call, NOW)) == (401, "IotHubUnauthorizedAccess")
    device = bench.call("GET", "/devices", b"", bench.signed("iothubowner", "other"), {})
    assert error(bench.api.handle(device, NOW))[0] == 401
    ported = bench.call("GET", "/devices", b"", bench.signed("iothubowner", "MY-hub:8443"), {})
    assert bench.api.handle(ported, NOW).status == 200


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/", (404, "GenericNotFound")),
        ("GET", "/devices/a/b", (404, "GenericNotFound")),
        ("PATCH", "/devices/a", (405, "GenericMethodNotAllowed")),
        ("DELETE", "/twins/a", (405, "GenericMethodNotAllowed")),
        ("GET", "/devices/a/modules", (501, "GenericNotImplemented")),
        ("GET", "/twins/a/modules/m", (501, "GenericNotImplemented")),
        ("PUT", "/configurations/c", (501, "GenericNotImplemented")),
        ("POST", "/jobs/create", (501, "GenericNotImplemented")),
    ],
)
def test_a_path_that_is_not_served_says_so(
    method: str, path: str, expected: tuple[int, str]
) -> None:
    assert error(Bench().ask(method, path, {})) == expected


def test_a_direct_method_is_read_after_its_right_was_checked() -> None:
    bench = Bench()
    body = {"methodName": "reboot", "payload": {"in_s": 5}, "responseTimeoutInSeconds": 7}
    path = "/twins/dev/methods"
    call = bench.call("POST", path, body, bench.signed("service"), {})
    expected = "dev", MethodCall("reboot", b'{"in_s":5}', 7, 0)
    assert bench.api.method_call(call, NOW) == expected
    call = bench.call("POST", path, b"{", bench.signed("registryRead"), {})
    with pytest.raises(Refusal, match="Unauthorized"):
        bench.api.method_call(call, NOW)
    module = bench.call("POST", "/twins/dev/modules/m/methods", body, bench.signed("service"), {})
    with pytest.raises(Refusal, match="modules") as caught:
        bench.api.method_call(module, NOW)
    assert error(bench.api.refused(caught.value, NOW)) == (501, "GenericNotImplemented")
