"""Which service a request is for."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstlight.emulator.answers import Refusal
from firstlight.emulator.http.routing import Names, Place, Service, find, host_name

DPS = "global.azure-devices-provisioning.net"
ONE = Names({"localhost"}, {"localhost", "127.0.0.1", DPS})
TWO = Names({"localhost", "one.azure-devices.net"}, {"localhost", "127.0.0.1", DPS})


@pytest.mark.parametrize(
    ("method", "path", "service"),
    [
        ("PUT", "/enrollments/dev-1", Service.DPS),
        ("POST", "/enrollmentGroups/fleet/attestationmechanism", Service.DPS),
        ("POST", "/enrollmentgroups/query", Service.DPS),
        ("GET", "/registrations/dev-1", Service.DPS),
        ("POST", "/registrations/fleet/query", Service.DPS),
        ("PUT", "/0ne00111111/registrations/dev-1/register", Service.DPS_DEVICE),
        ("GET", "/0ne00111111/registrations/dev-1/operations/5.a.b", Service.DPS_DEVICE),
        ("POST", "/0ne00111111/registrations/dev-1", Service.DPS_DEVICE),
        ("GET", "/devices/registrations", Service.HUB),
        ("GET", "/devices", Service.HUB),
        ("POST", "/devices/query", Service.HUB),
        ("POST", "/devices/dev-1/messages/events", Service.HUB_DEVICE),
        ("POST", "/devices/dev-1/files", Service.HUB),  # which says that there are none
        ("GET", "/devices/dev-1/messages/devicebound", Service.HUB_DEVICE),
        ("PATCH", "/twins/dev-1", Service.HUB),
        ("POST", "/twins/dev-1/methods", Service.HUB_METHOD),
        ("GET", "/twins/dev-1/methods", Service.HUB),
        ("GET", "/statistics/devices", Service.HUB),
        ("GET", "/emulator/info", Service.EMULATOR),
        ("GET", "/", Service.DPS),
        ("GET", "/nonsense", Service.DPS),
    ],
)
def test_a_path_says_the_service(method: str, path: str, service: Service) -> None:
    hub = "localhost" if service in (Service.HUB, Service.HUB_DEVICE, Service.HUB_METHOD) else ""
    assert find(ONE, method, path, "localhost:8443") == Place(service, hub)


def test_the_host_header_says_the_hub() -> None:
    assert (
        find(TWO, "GET", "/devices", "One.Azure-Devices.net.:443").hub == "one.azure-devices.net"
    )
    assert find(TWO, "GET", "/devices", "localhost:8443").hub == "localhost"


def test_the_only_hub_needs_no_name() -> None:
    assert find(ONE, "GET", "/devices", DPS).hub == "localhost"
    assert find(ONE, "GET", "/devices", "").hub == "localhost"


def test_which_of_two_hubs_must_be_said() -> None:
    with pytest.raises(
        Refusal, match=r"localhost, one.azure-devices.net.*--connect-to"
    ) as refused:
        find(TWO, "GET", "/devices", DPS)
    assert refused.value.status == 404


def test_a_name_that_is_a_hubs_alone_has_no_dps() -> None:
    assert find(TWO, "GET", "/enrollments/a", "one.azure-devices.net").service is Service.HUB
    assert find(TWO, "GET", "/enrollments/a", "localhost").service is Service.DPS


@given(st.text(), st.text(), st.text())
def test_whatever_is_asked_for_has_a_place_or_a_refusal(method: str, path: str, host: str) -> None:
    hubs_own = (Service.HUB, Service.HUB_DEVICE, Service.HUB_METHOD)
    with contextlib.suppress(Refusal):
        place = find(TWO, method, path, host)
        assert (place.hub in TWO.hubs) == (place.service in hubs_own)
    assert host_name(host) == host_name(host).lower()
