"""hub.py against the words of protocol.md 6."""

from aziot import hub
from aziot.sas import quote

NOTHING = ("", 0, "")


def test_the_user_name_has_a_question_mark_that_dps_has_not():
    text = hub.username("myhub.azure-devices.net", "dev-1")
    assert text == "myhub.azure-devices.net/dev-1/?api-version=2021-04-12"


def test_a_model_id_is_quoted():
    text = hub.username("h", "d", "dtmi:com:example:Thermostat;1")
    assert text == "h/d/?api-version=2021-04-12&model-id=dtmi%3Acom%3Aexample%3AThermostat%3B1"


def test_the_token_is_for_the_device():
    assert hub.resource("myhub.azure-devices.net", "d:1") == "myhub.azure-devices.net/devices/d:1"


def test_no_filter_is_longer_than_the_link_takes_and_there_are_five_at_most():
    assert len(hub.FILTERS) <= 5
    assert all(len(topic) <= 122 for topic in hub.FILTERS)


def test_a_message_may_have_no_properties():
    assert hub.bag(()) == ""


def test_system_properties_are_quoted_like_others():
    properties = (("$.ct", "application/json"), ("$.ce", "utf-8"))
    assert hub.bag(properties) == "%24.ct=application%2Fjson&%24.ce=utf-8"


def test_property_names_and_values_are_quoted():
    assert hub.bag([("a&b", "1=2"), ("x", "+#/"), ("n", 3)]) == "a%26b=1%3D2&x=%2B%23%2F&n=3"


def test_a_message_to_the_device_has_properties_with_a_value_an_empty_one_or_none():
    topic = b"devices/dev-1/messages/devicebound/%24.mid=7&%24.to=%2Fdevices%2Fdev-1&a%20b=&urgent"
    kind, properties, _ = hub.parse(topic)
    assert kind == "message"
    assert properties == {"$.mid": "7", "$.to": "/devices/dev-1", "a b": "", "urgent": None}


def test_a_message_to_the_device_may_have_no_properties():
    for end in (b"", b"&", b"&&", b"=x"):
        assert hub.parse(b"devices/d/messages/devicebound/" + end) == ("message", {}, "")


def test_slashes_that_are_not_quoted_are_a_propertys_own():
    topic = b"devices/d/messages/devicebound/$.to=/devices/d/messages/deviceBound&n=1=2"
    assert hub.parse(topic)[1] == {"$.to": "/devices/d/messages/deviceBound", "n": "1=2"}


def test_whatever_was_quoted_is_read_back():
    texts = ["%", "%%41", "100 %", "\u00fc\u20ac\U0001f600", "a+b c"]
    texts.extend(["x" + bytes((b,)).decode() for b in range(128)])
    for text in texts:
        topic = "devices/d/messages/devicebound/" + quote(text) + "=" + quote(text)
        assert hub.parse(topic.encode())[1] == {text: text}, text


def test_a_topic_may_come_as_a_bytearray():
    topic = bytearray(b"$iothub/methods/POST/reboot/?$rid=1f")
    assert hub.parse(topic) == ("method", "reboot", "1f")


def test_a_methods_name_is_read_and_its_request_id_goes_back_as_it_is():
    topic = b"$iothub/methods/POST/fl%2Areprovision/?$rid=%41-b&x=y"
    assert hub.parse(topic) == ("method", "fl*reprovision", "%41-b")


def test_a_method_may_have_any_name():
    for name in ("devicebound", "events", "POST", "res", "PATCH", "properties"):
        topic = b"$iothub/methods/POST/" + name.encode() + b"/?$rid=1"
        assert hub.parse(topic) == ("method", name, "1")


def test_the_twins_answers_have_a_status_and_a_request_id():
    assert hub.parse(b"$iothub/twin/res/200/?$rid=1") == ("twin", 200, "1")
    assert hub.parse(b"$iothub/twin/res/204/?$rid=2&$version=9") == ("twin", 204, "2")
    assert hub.parse(b"$iothub/twin/res/204/?$version=9&$rid=2") == ("twin", 204, "2")
    assert hub.parse(b"$iothub/twin/res/429/") == ("twin", 429, "")


def test_a_change_of_the_desired_properties_is_known():
    topic = b"$iothub/twin/PATCH/properties/desired/?$version=5"
    assert hub.parse(topic) == ("desired", 0, "")


def test_topics_that_make_no_sense_are_nothing():
    for topic in (
        b"",
        b"/",
        b"////",
        b"devices",
        b"devices/d/messages/devicebound",
        b"devices/d/messages/events/a=1",
        b"devices/d/messages/devicebound/a=%",
        b"devices/d/messages/devicebound/a=%4",
        b"devices/d/messages/devicebound/a=%zz",
        b"devices/d/messages/devicebound/a=%-1",
        b"devices/d/messages/devicebound/a=%ff",
        b"devices/d/messages/devicebound/\xff",
        b"$iothub/twin/res/ok/?$rid=1",
        b"$iothub/twin/res//?$rid=1",
        b"$iothub/methods/POST/50%/?$rid=1",
        b"$iothub/methods/GET/reboot/?$rid=1",
        b"$iothub/twin/GET/?$rid=1",
        b"\xc3\x28/\x00",
        bytes(range(256)),
    ):
        assert hub.parse(topic) == NOTHING, topic
