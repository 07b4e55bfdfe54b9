"""paho-mqtt by hand, as the article on DPS over raw MQTT does it: every packet our own."""

import json
import queue
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import quote

import paho.mqtt.client as mqtt  # type: ignore[import-untyped]
import pytest

from firstlight.emulator.hub.credential import by_keys
from firstlight.emulator.keys import Keys
from firstlight.emulator.running import RunningAzure, running_azure
from firstlight.emulator.settings import Settings
from tests.emulator.peers import POLL, REGISTER, RESULTS, sign, token

PATIENCE_S = 10.0


class Paho:
    """A paho client whose callbacks go into queues."""

    def __init__(
        self,
        azure: RunningAzure,
        client_id: str,
        user: str,
        password: str,
        transport: str = "tcp",
    ) -> None:
        self.codes: queue.Queue[int] = queue.Queue()
        self.messages: queue.Queue[tuple[str, bytes]] = queue.Queue()
        self.granted: queue.Queue[tuple[int, ...]] = queue.Queue()
        client = self.client = mqtt.Client(client_id, protocol=mqtt.MQTTv311, transport=transport)
        client.ws_set_options(path="/$iothub/websocket")
        client.username_pw_set(user, password)
        client.tls_set_context(ssl.create_default_context(cafile=str(azure.root_pem)))
        client.on_connect = lambda _client, _data, _flags, code: self.codes.put(code)
        client.on_message = lambda _client, _data, m: self.messages.put((m.topic, m.payload))
        client.on_subscribe = lambda _client, _data, _mid, granted: self.granted.put(granted)
        port = azure.mqtt_port if transport == "tcp" else azure.https_port
        client.connect("localhost", port)
        client.loop_start()

    def __enter__(self) -> "Paho":
        return self

    def __exit__(self, *_: object) -> None:
        self.client.disconnect()
        self.client.loop_stop()


@pytest.fixture
def azure() -> Iterator[RunningAzure]:
    with running_azure(Settings(mqtt_port=0, https_port=0, retry_after_s=0)) as running:
        yield running


@pytest.mark.parametrize("transport", ["tcp", "websockets"])
def test_the_article_by_hand_registers_and_the_hub_receives(
    azure: RunningAzure, transport: str
) -> None:
    group = azure.enroll_group("fleet")
    key = sign(group.keys.primary_b64, "my-mqtt-dev01")
    resource = f"{azure.id_scope}/registrations/my-mqtt-dev01"
    user = f"{resource}/api-version=2019-03-31"
    with Paho(azure, "my-mqtt-dev01", user, token(resource, key), transport) as dps:
        assert dps.codes.get(timeout=PATIENCE_S) == 0
        dps.client.subscribe(RESULTS, qos=2)
        assert dps.granted.get(timeout=PATIENCE_S) == (1,)
        dps.client.publish(REGISTER + "1", '{"registrationId": "my-mqtt-dev01"}', qos=1)
        status, document = answer(dps, "1")
        operation = quote(document["operationId"])
        while status == 202:
            dps.client.publish(f"{POLL}2&operationId={operation}")
            status, document = answer(dps, "2")
    state = document["registrationState"]
    assert (status, state["status"], state["assignedHub"]) == (200, "assigned", "localhost")
    resource = f"localhost/devices/{state['deviceId']}"
    user = f"localhost/{state['deviceId']}/?api-version=2021-04-12"
    password = token(resource, key, skn=None)
    with Paho(azure, state["deviceId"], user, password, transport) as hub:
        assert hub.codes.get(timeout=PATIENCE_S) == 0
        sent = hub.client.publish("devices/my-mqtt-dev01/messages/events/a=b", "21.5", qos=1)
        sent.wait_for_publish(PATIENCE_S)
        assert sent.is_published()
    found = azure.wait_for_telemetry(1, "my-mqtt-dev01")
    assert [(m.body, m.properties) for m in found] == [(b"21.5", {"a": "b"})]


def test_a_device_by_hand_has_a_twin_methods_and_messages(azure: RunningAzure) -> None:
    key = azure.enroll_device("by-hand").keys.primary_b64
    own = by_keys(Keys(key, key))
    azure.call(lambda local: local.hubs["localhost"].put_device("by-hand", own, 0.0))
    user, resource = "localhost/by-hand/?api-version=2021-04-12", "localhost/devices/by-hand"
    with Paho(azure, "by-hand", user, token(resource, key, skn=None)) as hub:
        assert hub.codes.get(timeout=PATIENCE_S) == 0
        messages = "devices/by-hand/messages/devicebound/#"
        filters = ["$iothub/twin/res/#", "$iothub/twin/PATCH/properties/desired/#"]
        filters += ["$iothub/methods/POST/#", messages]
        hub.client.subscribe([(name, 1) for name in filters])
        assert hub.granted.get(timeout=PATIENCE_S) == (1, 1, 1, 1)

        hub.client.publish("$iothub/twin/PATCH/properties/reported/?$rid=a1", '{"t": 21.5}')
        assert heard(hub) == ("$iothub/twin/res/204/?$rid=a1&$version=2", None)
        hub.client.publish("$iothub/twin/GET/?$rid=a2")
        topic, twin = heard(hub)
        assert topic == "$iothub/twin/res/200/?$rid=a2"
        assert twin["reported"] == {"t": 21.5, "$version": 2}

        azure.device("by-hand").patch_twin({"properties": {"desired": {"mode": "eco"}}})
        topic, patch = heard(hub)
        assert topic == "$iothub/twin/PATCH/properties/desired/?$version=2"
        assert patch == {"mode": "eco", "$version": 2}

        azure.device("by-hand").send('"hello"', {"a": "b c", "none": None, "empty": ""})
        topic, text = heard(hub)
        bag = topic.removeprefix("devices/by-hand/messages/devicebound/").split("&")
        assert text == "hello"
        assert set(bag) >= {
            "a=b%20c",
            "none",
            "empty=",
            "%24.to=%2Fdevices%2Fby-hand%2Fmessages%2FdeviceBound",
        }

        with ThreadPoolExecutor(1) as pool:
            call = pool.submit(azure.device("by-hand").call_method, "reboot", {"now": True})
            topic, payload = heard(hub)
            path, rid = topic.split("/?$rid=")
            assert (path, payload) == ("$iothub/methods/POST/reboot", {"now": True})
            hub.client.publish(f"$iothub/methods/res/202/?$rid={rid}", '{"ok": 1}', qos=1)
            assert call.result(PATIENCE_S) == (202, {"ok": 1})


def heard(paho: Paho) -> tuple[str, Any]:
    """The next message: topic and document."""
    topic, payload = paho.messages.get(timeout=PATIENCE_S)
    return topic, json.loads(payload) if payload else None


def test_the_hub_tells_paho_that_a_wrong_key_is_not_authorized(azure: RunningAzure) -> None:
    user = "localhost/nobody/?api-version=2021-04-12"
    with Paho(azure, "nobody", user, token("localhost/devices/nobody", "AAAA", skn=None)) as hub:
        assert hub.codes.get(timeout=PATIENCE_S) == 5


@pytest.mark.parametrize("protocol", [mqtt.MQTTv5, mqtt.MQTTv31])
def test_another_version_of_mqtt_is_told_which_is_wrong(
    azure: RunningAzure, protocol: int
) -> None:
    codes: queue.Queue[Any] = queue.Queue()
    client = mqtt.Client("dev-1", protocol=protocol)
    client.username_pw_set("localhost/dev-1/?api-version=2021-04-12", "x")
    client.tls_set_context(ssl.create_default_context(cafile=str(azure.root_pem)))
    client.on_connect = lambda _client, _data, _flags, code, *_: codes.put(
        getattr(code, "value", code)
    )
    client.connect("localhost", azure.mqtt_port)
    client.loop_start()
    try:
        assert codes.get(timeout=PATIENCE_S) == (132 if protocol == mqtt.MQTTv5 else 1)
    finally:
        client.disconnect()
        client.loop_stop()


def answer(paho: Paho, rid: str) -> tuple[int, Any]:
    topic, payload = paho.messages.get(timeout=PATIENCE_S)
    prefix, _, rest = topic.partition("/res/")
    status, _, query = rest.partition("/?")
    assert (prefix, query.split("&")[0]) == ("$dps/registrations", f"$rid={rid}")
    return int(status), json.loads(payload)
