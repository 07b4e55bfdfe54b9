"""hub.py against the words of protocol.md 6."""

from aziot import hub


def test_the_user_name_has_a_question_mark_that_dps_has_not():
    text = hub.username("myhub.azure-devices.net", "dev-1")
    assert text == "myhub.azure-devices.net/dev-1/?api-version=2021-04-12"


def test_a_model_id_is_quoted():
    text = hub.username("h", "d", "dtmi:com:example:Thermostat;1")
    assert text == "h/d/?api-version=2021-04-12&model-id=dtmi%3Acom%3Aexample%3AThermostat%3B1"


def test_the_token_is_for_the_device():
    assert hub.resource("myhub.azure-devices.net", "d:1") == "myhub.azure-devices.net/devices/d:1"


def test_telemetry_without_properties_ends_in_a_slash():
    assert hub.telemetry_topic("dev-1") == "devices/dev-1/messages/events/"


def test_json_telemetry_says_so_in_system_properties():
    topic = hub.telemetry_topic("dev-1", hub.JSON)
    assert topic == "devices/dev-1/messages/events/$.ct=application%2Fjson&$.ce=utf-8"


def test_property_names_and_values_are_quoted():
    topic = hub.telemetry_topic("d", [("a&b", "1=2"), ("$x", "+#/")])
    assert topic == "devices/d/messages/events/a%26b=1%3D2&%24x=%2B%23%2F"
