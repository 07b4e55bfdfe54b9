"""What a team's own tests use: the fixtures, a device's handle, names that lead here."""

import asyncio
import socket
import ssl
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt  # type: ignore[import-untyped]
import pytest

from firstlight.emulator.running import RunningAzure, running_azure
from firstlight.emulator.settings import Settings
from firstlight.errors import ServiceError, UsageError
from tests.emulator.peers import join_dps, join_hub, publish, subscribe, token

REGISTER = "$dps/registrations/PUT/iotdps-register/?$rid=1"
FREE = Settings(mqtt_port=0, https_port=0)
PAST_S = 9.9  # less than what every call is given beside its own time
COMMANDS = "$iothub/methods/POST/#"


def registered(azure: RunningAzure, id: str) -> str:
    """A device of the group, known to the hub; its key."""
    key = azure.device_key(id)
    with join_dps(azure, id, key) as peer:
        peer.send(publish(REGISTER, b"{}"))
        assert "/res/202/" in peer.read_message()[0]
    return key


def test_a_device_of_the_group_registers_sends_and_is_read(local_azure: RunningAzure) -> None:
    key = registered(local_azure, "dev-1")
    device = local_azure.device("dev-1")
    assert not device.is_connected
    with join_hub(local_azure, "dev-1", key) as peer:
        device.wait_until_connected()
        peer.send(publish("devices/dev-1/messages/events/", b"21"))
        assert [message.body for message in device.wait_for_telemetry()] == [b"21"]
        assert device.kick()
        assert peer.is_closed_by_server()
    assert device.hub == "localhost"


def test_a_twin_is_patched_and_a_message_sent(local_azure: RunningAzure) -> None:
    key = registered(local_azure, "dev-1")
    device = local_azure.device("dev-1")
    with join_hub(local_azure, "dev-1", key) as peer:
        for name in (
            "devices/dev-1/messages/devicebound/#",
            "$iothub/twin/PATCH/properties/desired/#",
        ):
            peer.send(subscribe(name))
            assert peer.read()[0] == 0x90
        device.send("on", {"k": "v"})
        topic, body = peer.read_message()
        assert body == b"on"
        assert "k=v" in topic
        twin = device.patch_twin({"tags": {"a": 1}, "properties": {"desired": {"colour": "red"}}})
        assert twin["tags"] == {"a": 1}
        assert b'"colour":"red"' in peer.read_message()[1]
    assert device.twin()["properties"]["desired"]["colour"] == "red"


def test_a_method_is_called_and_answered(local_azure: RunningAzure) -> None:
    key = registered(local_azure, "dev-1")
    device = local_azure.device("dev-1")
    with pytest.raises(ServiceError, match="DeviceNotOnline") as refused:
        device.call_method("blink")
    assert refused.value.status == 404
    with Answering(local_azure, "dev-1", key) as answered:
        assert device.call_method("blink", {"times": 3}, connect_timeout_s=10) == (200, {"ok": 3})
    assert answered == [b'{"times":3}']


class Answering:
    """paho-mqtt that answers each method with {"ok": 3}."""

    def __init__(self, azure: RunningAzure, id: str, key: str) -> None:
        self.seen: list[bytes] = []
        self.client = mqtt.Client(id, protocol=mqtt.MQTTv311)
        self.client.username_pw_set(
            f"localhost/{id}/?api-version=2021-04-12",
            token(f"localhost/devices/{id}", key, skn=None),
        )
        self.client.tls_set_context(ssl.create_default_context(cafile=str(azure.root_pem)))
        self.client.on_connect = lambda client, *_: client.subscribe(COMMANDS)
        self.client.on_message = self._answer
        self.client.connect("localhost", azure.mqtt_port)

    def __enter__(self) -> list[bytes]:
        self.client.loop_start()
        return self.seen

    def __exit__(self, *_: object) -> None:
        self.client.disconnect()
        self.client.loop_stop()

    def _answer(self, client: Any, _data: Any, message: Any) -> None:
        self.seen.append(message.payload)
        rid = message.topic.partition("$rid=")[2]
        client.publish(f"$iothub/methods/res/200/?$rid={rid}", '{"ok": 3}')


def test_what_a_hub_refuses_is_an_error_with_its_status(local_azure: RunningAzure) -> None:
    with pytest.raises(ServiceError, match="no hub here has a device nobody") as refused:
        local_azure.device("nobody").twin()
    assert refused.value.status == 404
    registered(local_azure, "dev-1")
    with pytest.raises(ServiceError) as refused:
        local_azure.device("dev-1").patch_twin({"properties": {"desired": {"a": "x" * 40_000}}})
    assert refused.value.status in (400, 413)


def test_the_global_name_leads_here(redirected_azure: RunningAzure) -> None:
    context = ssl.create_default_context(cafile=str(redirected_azure.root_pem))
    name = "global.azure-devices-provisioning.net"
    with (
        socket.create_connection((name, 8883), 10) as plain,
        context.wrap_socket(plain, server_hostname=name),
    ):
        assert plain.fileno() == -1  # the wrapped one has it


class TestSettingsOfOnesOwn:
    @pytest.fixture
    def local_azure_settings(self) -> dict[str, Any]:
        return {"hubs": ("localhost", "127.0.0.1"), "group": None}

    def test_they_are_taken(self, local_azure: RunningAzure) -> None:
        assert local_azure.group is None
        assert local_azure.call(lambda local: list(local.hubs)) == ["localhost", "127.0.0.1"]
        with pytest.raises(ValueError, match="no group"):
            local_azure.device_key("dev-1")


class TestSettingsThatCannotBe:
    @pytest.fixture
    def local_azure_settings(self) -> dict[str, Any]:
        return {"retry_after": 1}

    def test_a_name_that_is_no_setting_is_told(self, request: pytest.FixtureRequest) -> None:
        with pytest.raises(UsageError, match="'retry_after', which"):
            request.getfixturevalue("local_azure")


class TestSettingsThatAskForWhatIsMissing:
    @pytest.fixture
    def local_azure_settings(self, nobody_made_this: object) -> dict[str, Any]:
        return {}

    def test_they_are_not_passed_over(self, request: pytest.FixtureRequest) -> None:
        with pytest.raises(pytest.FixtureLookupError, match="nobody_made_this"):
            request.getfixturevalue("local_azure")


def test_waiting_for_a_device_that_never_connects_ends(local_azure: RunningAzure) -> None:
    local_azure.create_device("dev-1")
    with pytest.raises(TimeoutError, match="dev-1 did not connect in 0 s"):
        local_azure.device("dev-1").wait_until_connected(timeout_s=0)


def test_a_token_for_one_hub_opens_no_other_with_the_same_key() -> None:
    settings = replace(FREE, hubs=("localhost", "127.0.0.1"))
    with running_azure(settings) as azure:
        names = azure.call(lambda local: local.services._names_of("localhost"))
    assert "localhost" in names
    assert not any(name.startswith("127.0.0.1") for name in names)


def test_another_program_finds_the_root_from_any_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with running_azure(replace(FREE, folder=Path("here"))) as azure:
        assert set(azure.environment.values()) == {str(tmp_path / "here" / "root.pem")}


def test_what_has_ended_says_so() -> None:
    with running_azure(FREE) as azure:
        assert azure.telemetry() == []
    with pytest.raises(RuntimeError, match="has ended"):
        azure.telemetry()


def test_its_own_thread_is_told_that_it_cannot_wait_for_itself() -> None:
    told: list[str] = []

    def on_event(_: object) -> None:
        try:
            azure.telemetry()
        except RuntimeError as error:
            told.append(str(error))

    with (
        running_azure(FREE, on_event) as azure,
        socket.create_connection(("127.0.0.1", azure.mqtt_port), 10) as peer,
    ):
        peer.sendall(b"no TLS" * 10)  # which is an event
        assert azure.wait_for(lambda _: list(told))
    assert "cannot wait" in told[0]


def test_who_waits_no_longer_leaves_nothing_that_runs_on() -> None:
    ended = threading.Event()

    async def for_ever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    with running_azure(FREE) as azure:
        with pytest.raises(TimeoutError):
            azure.wait(for_ever(), -PAST_S)
        assert ended.wait(10)


def test_importing_the_fixtures_imports_no_server() -> None:
    code = (
        "import sys, firstlight.testing; "
        "sys.exit(bool({'aiohttp', 'amqtt', 'trustme', 'click'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
