"""dps.py: every answer of protocol.md 2, as DPS words it."""

import json

from aziot import dps
from aziot.errors import AziotError, ProtocolError, ServiceError
from tests.core.expect import raises

RES = "$dps/registrations/res/"
OPERATION = "5.316aac5bdc130deb.b1e02da8-c3a0-4ff2-a121-7ea7a6b7f550"
ASSIGNING = {"operationId": OPERATION, "status": "assigning"}
ASSIGNED = {
    "operationId": OPERATION,
    "status": "assigned",
    "registrationState": {
        "x509": {"enrollmentGroupId": "grp"},
        "registrationId": "dev-1",
        "createdDateTimeUtc": "2022-08-31T22:02:50.5163352Z",
        "assignedHub": "MyExampleHub.azure-devices.net",
        "deviceId": "Dev-1:x",
        "status": "assigned",
        "substatus": "initialAssignment",
        "lastUpdatedDateTimeUtc": "2022-08-31T22:02:50.5163352Z",
        "etag": "IjY5MDAzNTUyLTAwMDAtMDMwMC0wMDAwLTYzMGZkYThhMDAwMCI=",
    },
}


def asked(operation_id=None):
    registration = dps.Registration("dev-1", None, operation_id)
    registration.request()
    return registration


def answer(registration, status, body, query="?$rid=1"):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return registration.receive(RES + "%s/%s" % (status, query), raw)


def refusal(registration, status, body, query="?$rid=1"):
    return raises(ServiceError, answer, registration, status, body, query)


def test_words_of_the_connection():
    assert dps.username("0ne00111111", "dev-1") == (
        "0ne00111111/registrations/dev-1/api-version=2019-03-31"
    )
    assert dps.resource("0ne00111111", "dev-1") == "0ne00111111/registrations/dev-1"


def test_the_first_request_registers():
    topic, body = dps.Registration("dev-1").request()
    assert topic == "$dps/registrations/PUT/iotdps-register/?$rid=1"
    assert json.loads(body) == {"registrationId": "dev-1"}


def test_a_payload_for_custom_allocation_goes_along():
    _, body = dps.Registration("dev-1", {"site": "north"}).request()
    assert json.loads(body) == {"registrationId": "dev-1", "payload": {"site": "north"}}


def test_from_registering_to_assigned():
    registration = asked()
    assert answer(registration, 202, ASSIGNING, "?$rid=1&retry-after=5")
    assert (registration.delay_s, registration.assignment) == (5, None)
    topic, body = registration.request()
    assert topic == "$dps/registrations/GET/iotdps-get-operationstatus/?$rid=2&operationId=%s" % (
        OPERATION
    )
    assert body == b""
    still = ASSIGNING | {"registrationState": {"registrationId": "dev-1", "status": "assigning"}}
    assert answer(registration, 202, still, "?$rid=2&retry-after=3")
    registration.request()
    assert answer(registration, 200, ASSIGNED, "?$rid=3")
    assert registration.assignment == (
        "MyExampleHub.azure-devices.net",
        "Dev-1:x",
        "initialAssignment",
        None,
        None,
    )


def test_a_certificate_is_asked_for_in_a_version_that_issues_them():
    csr = "MIHt" * 60
    assert dps.username("0ne00FEED", "dev-1") == dps.username("0ne00FEED", "dev-1", None)
    assert dps.username("0ne00FEED", "dev-1", csr) == (
        "0ne00FEED/registrations/dev-1/api-version=2025-07-01-preview"
    )
    registration = dps.Registration("dev-1", None, None, csr)
    assert json.loads(registration.request()[1]) == {"registrationId": "dev-1", "csr": csr}
    assert answer(registration, 202, ASSIGNING)
    assert registration.request()[1] == b""  # a poll carries nothing
    state = ASSIGNED["registrationState"] | {"issuedCertificateChain": ["MIIB", "MIIC"]}
    assert answer(registration, 200, ASSIGNED | {"registrationState": state}, "?$rid=2")
    assert registration.assignment[4] == ["MIIB", "MIIC"]


def test_the_webhooks_payload_comes_back():
    registration = asked(OPERATION)
    state = ASSIGNED["registrationState"] | {"payload": {"colour": "blue"}}
    assert answer(registration, 200, ASSIGNED | {"registrationState": state})
    assert registration.assignment[3] == {"colour": "blue"}


def test_an_operation_is_taken_up_again():
    topic, _ = dps.Registration("dev-1", None, OPERATION).request()
    assert "operationId=" + OPERATION in topic


def test_an_operation_id_cannot_break_out_of_its_topic():
    topic, _ = dps.Registration("dev-1", None, "a&b/#+").request()
    assert topic.endswith("operationId=a%26b%2F%23%2B")


def test_retry_after_may_come_first_and_in_any_case():
    for query in ("?retry-after=7&$rid=1", "?$rid=1&Retry-After=7", "?$rid=1&x=y&RETRY-AFTER=7"):
        registration = asked()
        assert answer(registration, 202, ASSIGNING, query)
        assert registration.delay_s == 7


def test_without_a_retry_after_that_makes_sense_the_wait_is_ours():
    for query in ("", "&retry-after=", "&retry-after=soon", "&retry-after=-5", "&retry-after=1.5"):
        registration = asked()
        assert answer(registration, 202, ASSIGNING, "?$rid=1" + query)
        assert registration.delay_s == 3


def test_retry_after_is_kept_within_bounds():
    for text, delay_s in (("0", 1), ("1", 1), ("300", 300), ("301", 300), ("99999999", 300)):
        registration = asked()
        assert answer(registration, 202, ASSIGNING, "?$rid=1&retry-after=" + text)
        assert registration.delay_s == delay_s


def test_what_answers_another_request_changes_nothing():
    registration = asked()
    for topic in (
        RES + "200/?$rid=2",
        RES + "200/?$rid=",
        RES + "200/?$rid=11",
        RES + "200/?$rid=01",
        RES + "200/?rid=1",
        RES + "200/",
        RES + "200",
        RES,
        "$dps/registrations/200/?$rid=1",
        "devices/dev-1/messages/devicebound/",
        "",
    ):
        assert not registration.receive(topic, json.dumps(ASSIGNED).encode())
    assert registration.assignment is None
    assert answer(registration, 200, ASSIGNED)


def test_a_duplicated_answer_is_taken_once():
    registration = asked()
    assert answer(registration, 202, ASSIGNING)
    assert not answer(registration, 202, ASSIGNING)
    assert not answer(registration, 200, ASSIGNED)


def test_an_answer_before_any_request_is_nobodys():
    assert not answer(dps.Registration("dev-1"), 200, ASSIGNED, "?$rid=0")


def test_unassigned_means_poll_on():
    registration = asked()
    assert answer(registration, 202, {"operationId": OPERATION, "status": "unassigned"})
    assert registration.operation_id == OPERATION


def test_a_poll_may_leave_the_operation_id_out():
    registration = asked(OPERATION)
    assert answer(registration, 202, {"status": "assigning"})
    assert registration.operation_id == OPERATION


def test_disabled_is_a_refusal():
    body = {
        "operationId": "",
        "status": "disabled",
        "registrationState": {"registrationId": "dev-1", "status": "disabled"},
    }
    e = refusal(asked(), 200, body)
    assert (e.status, e.transient) == (200, False)
    assert "disabled" in str(e)


def test_failed_is_a_refusal_with_its_code_and_message():
    body = {
        "operationId": OPERATION,
        "status": "failed",
        "registrationState": {
            "registrationId": "dev-1",
            "status": "failed",
            "errorCode": 400207,
            "errorMessage": "Custom allocation failed with status code: 400",
        },
    }
    registration = asked(OPERATION)
    e = refusal(registration, 200, body)
    assert (e.code, e.transient) == (400207, False)
    assert "Custom allocation failed with status code: 400" in str(e)
    assert "iotdps-register" in registration.request()[0]


def test_a_failure_may_quote_the_hubs_own_json():
    message = '{"Message":"{\\"errorCode\\":401002,\\"trackingId\\":\\"abc-G2:-Time\\"}"}'
    state = {"status": "failed", "errorCode": 400209, "errorMessage": message}
    e = refusal(asked(OPERATION), 200, {"status": "failed", "registrationState": state})
    assert "abc-G2:-Time" in str(e)


def test_a_failure_that_tells_nothing_is_told_all_the_same():
    for body in ({"status": "failed"}, {"status": "failed", "registrationState": 5}):
        assert "failed" in str(refusal(asked(), 200, body))


def test_a_refusal_carries_what_support_will_ask_for():
    body = {
        "errorCode": 401002,
        "trackingId": "8ad0463c-6427-4479-9dfa-3e8bb7003e9b",
        "message": "Invalid certificate.",
        "timestampUtc": "2020-04-10T05:24:22.4718526Z",
    }
    e = refusal(asked(), 401, body)
    assert (e.status, e.code, e.transient) == (401, 401002, False)
    assert e.tracking_id == "8ad0463c-6427-4479-9dfa-3e8bb7003e9b"
    assert "Invalid certificate." in str(e)


def test_refusals_that_may_pass_and_that_will_not():
    for status, transient in (
        (400, False),
        (401, False),
        (403, False),
        (404, False),
        (405, False),
        (409, True),
        (429, True),
        (500, True),
        (503, True),
    ):
        e = refusal(asked(), status, {"errorCode": status * 1000, "message": "no"})
        assert (e.status, e.transient) == (status, transient)


def test_throttling_tells_how_long_to_wait():
    body = {"errorCode": 429001, "trackingId": "t", "message": "Too many requests."}
    registration = asked(OPERATION)
    e = refusal(registration, 429, body, "?$rid=1&Retry-After=32")
    assert e.retry_after_s == 32
    assert "operationId=" + OPERATION in registration.request()[0]


def test_an_operation_the_service_forgot_is_begun_anew():
    for status in (404, 409):
        registration = asked(OPERATION)
        e = refusal(registration, status, {"errorCode": 404203, "message": "Operation not found."})
        assert e.transient
        assert "iotdps-register" in registration.request()[0]


def test_an_operation_that_came_to_nothing_is_not_polled_again():
    for status, body in (
        (400, {"errorCode": 400000, "message": "no"}),
        (401, {"errorCode": 401002, "message": "no"}),
        (200, {"status": "assigned", "registrationState": {}}),
        (200, {"status": "happy"}),
    ):
        registration = asked(OPERATION)
        raises(AziotError, answer, registration, status, body)
        assert "iotdps-register" in registration.request()[0]


def test_what_the_service_says_cannot_forge_a_line():
    body = {"message": "no\r\n 1 ms hub \x1b[2J", "trackingId": "a\nb"}
    text = str(refusal(asked(), 401, body))
    assert not [c for c in text if c < " "]


def test_a_refusal_without_a_body_that_makes_sense_is_still_a_refusal():
    for body in (b"", b" ", b"<html>", b"[]", b"null", b"\xff\xfe", b'{"errorCode": "x"}'):
        e = refusal(asked(), 502, body)
        assert (e.status, e.code, e.tracking_id, e.transient) == (502, None, None, True)


def test_a_long_message_is_cut():
    assert len(str(refusal(asked(), 400, {"message": "x" * 90000}))) < 300


def test_answers_that_make_no_sense():
    state = ASSIGNED["registrationState"]
    for status, body in (
        (200, b""),
        (200, b"{"),
        (200, b"[]"),
        (200, b"\xff"),
        (200, {}),
        (200, {"status": "happy"}),
        (200, {"status": 5}),
        (202, {"status": "assigning"}),
        (202, {"status": "assigning", "operationId": 5}),
        (202, {"status": "assigning", "operationId": ""}),
        (200, {"status": "assigned"}),
        (200, {"status": "assigned", "registrationState": {}}),
        (200, {"status": "assigned", "registrationState": []}),
        (200, {"status": "assigned", "registrationState": {"assignedHub": "h"}}),
        (200, {"status": "assigned", "registrationState": {"deviceId": "d"}}),
        (200, {"status": "assigned", "registrationState": state | {"assignedHub": ""}}),
        (200, {"status": "assigned", "registrationState": state | {"assignedHub": "a/b"}}),
        (200, {"status": "assigned", "registrationState": state | {"assignedHub": "a" * 254}}),
        (200, {"status": "assigned", "registrationState": state | {"deviceId": "a/b"}}),
        (200, {"status": "assigned", "registrationState": state | {"deviceId": 7}}),
        ("2x0", {}),
        ("", {}),
    ):
        raises(ProtocolError, answer, asked(), status, body)


def test_after_an_answer_that_made_no_sense_it_can_ask_again():
    registration = asked()
    raises(ProtocolError, answer, registration, 200, b"{")
    assert registration.request()[0].endswith("?$rid=2")
    assert answer(registration, 202, ASSIGNING, "?$rid=2")
