"""Which token is whose: what DPS refuses, and with which code (protocol.md 1.4, 2.6)."""

import base64
from typing import Any

import pytest

from tests.emulator.dps.provisioning import NOW, SCOPE, Service, refused
from tests.emulator.peers import sign


def test_the_right_group_is_found_among_several() -> None:
    service = Service()
    service.group("other")
    group = service.group("mine")
    service.group("closed", provisioningStatus="disabled")
    done = service.complete(service.ask("dev-1", sign(group.keys.primary_b64, "dev-1")))
    assert done["registrationState"]["symmetricKey"] == {"enrollmentGroupId": "mine"}


def test_a_wrong_key_is_refused_at_register() -> None:
    service = Service()
    group = service.group()
    assert refused(service.register(service.ask("dev-1", group.keys.primary_b64))) == (401, 401000)
    service.device("dev-2")
    assert refused(
        service.register(service.ask("dev-2", sign(group.keys.primary_b64, "dev-2")))
    ) == (
        401,
        401000,
    )


def test_an_expired_token_is_refused_with_its_own_code() -> None:
    service = Service(expired_code=401002)
    request = service.ask("dev-1", service.device("dev-1").keys.primary_b64, se=int(NOW))
    assert refused(service.register(request)) == (401, 401002)


@pytest.mark.parametrize(
    "changes",
    [
        {"resource": f"{SCOPE}/registrations/other"},
        {"resource": "0ne99999999/registrations/dev-1"},
        {"resource": "hub-a/devices/dev-1"},
        {"skn": "iothubowner"},
    ],
)
def test_a_token_for_something_else_is_refused(changes: Any) -> None:
    service = Service()
    request = service.ask("dev-1", service.device("dev-1").keys.primary_b64, **changes)
    assert refused(service.register(request)) == (401, 401000)


def test_a_token_without_skn_is_taken_as_the_python_sdk_sends_it() -> None:
    service = Service()
    request = service.ask("dev-1", service.device("dev-1").keys.primary_b64, skn=None)
    assert service.register(request).status == 202


def test_no_enrollment_and_a_wrong_scope_are_404() -> None:
    service = Service()
    key = base64.b64encode(b"k" * 32).decode()
    assert refused(service.register(service.ask("dev-1", key))) == (404, 404201)
    key = service.device("dev-1").keys.primary_b64
    assert refused(service.register(service.ask("dev-1", key, scope="0ne99999999"))) == (
        404,
        404201,
    )


@pytest.mark.parametrize("id", ["dev 1", "dev/1", "dev.", "ü", "a" * 129])
def test_an_id_that_dps_does_not_take_is_400004(id: str) -> None:
    service = Service()
    key = service.device("dev-1").keys.primary_b64
    assert refused(service.register(service.ask(id, key))) == (400, 400004)


def test_an_enabled_group_goes_before_a_disabled_one_with_the_same_key() -> None:
    service = Service()
    keys = service.group("a-closed", provisioningStatus="disabled").attestation_mechanism()
    service.group("b-open", attestation=keys)
    primary = keys["symmetricKey"]["primaryKey"]
    done = service.complete(service.ask("dev-1", sign(primary, "dev-1")))
    assert done["status"] == "assigned"


def test_over_https_a_wrong_key_has_another_code() -> None:
    service = Service()
    service.device("dev-1")
    request = service.ask("dev-1", base64.b64encode(b"x" * 32).decode(), over="https")
    assert refused(service.register(request)) == (401, 401002)


def test_every_code_of_a_refused_token_can_be_chosen() -> None:
    service = Service(
        wrong_key_code=401004,
        expired_code=401005,
        wrong_key_code_https=401001,
        expired_code_https=401003,
    )
    key = service.device("dev-1").keys.primary_b64
    wrong, late = {"skn": "iothubowner"}, {"se": int(NOW)}
    assert [
        refused(service.register(service.ask("dev-1", key, over=over, **how)))[1]
        for over in ("https", "mqtt")
        for how in (wrong, late)
    ] == [401001, 401003, 401004, 401005]


@pytest.mark.parametrize(
    ("rule", "with_groups", "without"),
    [
        ("auto", (401, 401000), (404, 404201)),
        ("404", (404, 404201), (404, 404201)),
        ("401", (401, 401000), (401, 401000)),
    ],
)
def test_a_device_that_no_enrollment_is_for_is_told_as_the_rule_says(
    rule: str, with_groups: tuple[int, int], without: tuple[int, int]
) -> None:
    service = Service(unknown_enrollment=rule)
    request = service.ask("dev-1", base64.b64encode(b"k" * 32).decode())
    assert refused(service.register(request)) == without
    service.group()
    assert refused(service.register(request)) == with_groups


@pytest.mark.parametrize(
    ("rule", "lower", "sent"), [("lower", 202, 401), ("sent", 401, 202), ("either", 202, 202)]
)
def test_the_spelling_that_a_key_derives_from_can_be_chosen(
    rule: str, lower: int, sent: int
) -> None:
    service = Service(derive_from=rule)
    key = service.group().keys.primary_b64
    asked = [service.ask("DEV-1", sign(key, spelling)) for spelling in ("dev-1", "DEV-1")]
    assert [service.register(request).status for request in asked] == [lower, sent]
    # The hub must know the key that the device has.
    keys = {key for device in service.devices() for key in device.keys}
    last = "DEV-1" if sent == 202 else "dev-1"
    assert sign(key, last) in keys


def test_the_case_of_an_id_scope_and_of_an_sr_matter_only_if_they_should() -> None:
    lax, strict = Service(), Service(scope_case=True, sr_case=True)
    for service, status in ((lax, 202), (strict, 404)):
        request = service.own(service.device("dev-1"), scope="0NE00111111")
        assert service.register(request).status == status
    for service, status in ((lax, 202), (strict, 401)):
        request = service.own(service.device("dev-1"), resource=f"{SCOPE}/registrations/DEV-1")
        assert service.register(request).status == status


def test_a_token_may_be_for_too_long_if_there_is_such_a_limit() -> None:
    service = Service(max_token_s=3600)
    enrollment = service.device("dev-1")
    within, beyond = (service.own(enrollment, se=int(NOW) + more) for more in (3600, 3602))
    assert service.register(within).status == 202
    assert refused(service.register(beyond)) == (401, 401002)


def test_a_hundred_groups_are_searched_and_the_last_one_is_found_at_once_later() -> None:
    service = Service()
    groups = [service.group(f"group-{number}") for number in range(100)]
    request = service.member("dev-1", groups[-1])
    assert service.state(request)["symmetricKey"] == {"enrollmentGroupId": "group-99"}
    first = service.dps._gate._in_order("dev-1")[0]
    assert first.id == "group-99"


def test_an_individual_enrollment_hides_the_groups() -> None:
    service = Service()
    group = service.group()
    service.device("dev-1")
    assert refused(service.register(service.member("dev-1", group))) == (401, 401000)


def test_a_token_is_void_from_the_second_on_in_which_it_expires() -> None:
    service = Service()
    request = service.own(service.device("dev-1"), se=int(NOW) + 10)
    assert service.dps.register(request, int(NOW) + 9.9).status == 202
    assert refused(service.dps.register(request, int(NOW) + 10.0)) == (401, 401002)


def test_a_request_without_any_token_is_401() -> None:
    service = Service()
    service.device("dev-1")
    request: Any = service.ask("dev-1", "AAAA").__class__(SCOPE, "dev-1", "")
    assert refused(service.register(request)) == (401, 401000)
