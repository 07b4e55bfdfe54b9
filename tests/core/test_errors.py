"""errors.py: what a failure tells."""

from aziot.errors import AziotError, Refused, ServiceError


def test_a_refusal_tells_what_support_will_ask_for():
    e = ServiceError("DPS: Unauthorized", 401, 401002, "8ad0463c-6427")
    assert str(e) == "401 DPS: Unauthorized, code 401002, tracking id 8ad0463c-6427"


def test_what_the_service_left_out_is_not_made_up():
    assert str(ServiceError("DPS: refused", 500)) == "500 DPS: refused"


def test_connack_tells_its_code():
    e = Refused(5)
    assert str(e) == "CONNACK refused, code 5"
    assert isinstance(e, ServiceError)
    assert isinstance(e, AziotError)


def test_what_is_not_about_who_we_are_may_pass_by_itself():
    assert [Refused(code).transient for code in range(1, 6)] == [True, False, True, False, False]
