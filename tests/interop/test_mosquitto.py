"""mosquitto's command line clients do by hand what the article on DPS over raw MQTT does.

Each program has one connection that publishes or listens, so DPS's answers, which go to the
connection that asked, are paho's to judge (test_paho.py); here a PUBACK says that the registration
is done. Passwords come from a file that only we can read, never from the command line.
"""

import json
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

import pytest

from firstlight.emulator.running import RunningAzure
from tests.emulator.peers import REGISTER, token
from tests.interop.places import PATIENCE_S, derived

Mosquitto = Callable[..., "subprocess.Popen[str]"]


class Who:
    """A client id, a user name and a password."""

    def __init__(self, client_id: str, user: str, password: str) -> None:
        self.client_id = client_id
        self.user = user
        self.password = password


def at_dps(azure: RunningAzure, id: str, key: str, se: int | None = None) -> Who:
    resource = f"{azure.id_scope}/registrations/{id}"
    password = token(resource, key, se or int(time.time()) + 3600)
    return Who(id, f"{resource}/api-version=2019-03-31", password)


def at_hub(azure: RunningAzure, id: str, key: str) -> Who:
    password = token(f"{azure.host}/devices/{id}", key, int(time.time()) + 3600, None)
    return Who(id, f"{azure.host}/{id}/?api-version=2021-04-12", password)


@pytest.fixture
def run(program: Callable[[str], str], azure: RunningAzure, tmp_path: Path) -> Mosquitto:
    """Start one of mosquitto's programs as somebody; its output is text."""

    def start(
        name: str, who: Who, *words: str, stdin: IO[str] | None = None
    ) -> "subprocess.Popen[str]":
        folder = tmp_path / f"{name}-{who.client_id}"
        folder.mkdir(exist_ok=True)
        (folder / name).touch(mode=0o600)
        (folder / name).write_text(f"--username {who.user}\n--pw {who.password}\n")
        # Unbuffered, so that a test sees at once what is said.
        command = [program("stdbuf"), "-oL", program(name)]
        always = ["-h", azure.host, "-p", str(azure.mqtt_port), "--cafile", str(azure.root_pem)]
        return subprocess.Popen(
            [*command, *always, "-V", "mqttv311", "-i", who.client_id, *words],
            env={"XDG_CONFIG_HOME": str(folder)},
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    return start


def ended(process: "subprocess.Popen[str]") -> str:
    """What the program said, once it has ended well."""
    said, _ = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, said
    return said.strip()


def registered(azure: RunningAzure, run: Mosquitto, id: str, key: str | None = None) -> Who:
    """Register with mosquitto_pub, whose PUBACK says that it is done; who it is at the hub."""
    key = key or azure.enroll_device(id).keys.primary_b64
    body = json.dumps({"registrationId": id})
    who = at_dps(azure, id, key)
    ended(run("mosquitto_pub", who, "-t", REGISTER + "1", "-m", body, "-q", "1"))
    return at_hub(azure, id, key)


def heard(run: Mosquitto, azure: RunningAzure, who: Who, *words: str) -> "subprocess.Popen[str]":
    """A mosquitto_sub that the hub has subscribed."""
    program = run("mosquitto_sub", who, "-d", *words)
    assert program.stdout is not None
    for line in program.stdout:
        if "Subscribed" in line:
            return program
    raise AssertionError(f"mosquitto_sub ended with {program.wait(PATIENCE_S)}")


def test_a_device_registers_and_its_hub_takes_telemetry(
    azure: RunningAzure, run: Mosquitto
) -> None:
    who = registered(azure, run, "my-mqtt-dev01")
    topic = "devices/my-mqtt-dev01/messages/events/alarm=no&%24.ct=text%2Fplain"
    for qos in ("0", "1"):
        ended(run("mosquitto_pub", who, "-t", topic, "-m", f"t={qos}", "-q", qos))
    found = azure.wait_for_telemetry(2, "my-mqtt-dev01")
    assert [message.body for message in found] == [b"t=0", b"t=1"]
    assert found[0].properties == {"alarm": "no"}
    assert found[0].system_properties == {"content-type": "text/plain"}


def test_many_messages_of_one_connection_come_in_order(
    azure: RunningAzure, run: Mosquitto, tmp_path: Path
) -> None:
    who = registered(azure, run, "mosquitto-many")
    path = tmp_path / "lines"
    path.write_text("".join(f"{number}\n" for number in range(300)))
    topic = "devices/mosquitto-many/messages/events/"
    with path.open() as lines:
        ended(run("mosquitto_pub", who, "-t", topic, "-q", "1", "-l", stdin=lines))
    found = azure.wait_for_telemetry(300, "mosquitto-many")
    assert [int(message.body) for message in found] == list(range(300))


def test_both_keys_of_a_group_serve_its_devices(azure: RunningAzure, run: Mosquitto) -> None:
    group = azure.enroll_group("mosquitto-fleet")
    for id, group_key in (
        ("mosquitto-1", group.keys.primary_b64),
        ("mosquitto-2", group.keys.secondary_b64),
    ):
        who = registered(azure, run, id, derived(group_key, id))
        ended(run("mosquitto_pub", who, "-t", f"devices/{id}/messages/events/", "-m", id))
        assert azure.wait_for_telemetry(1, id)[0].body == id.encode()


def test_a_retained_message_is_marked_as_such(azure: RunningAzure, run: Mosquitto) -> None:
    who = registered(azure, run, "mosquitto-retain")
    topic = "devices/mosquitto-retain/messages/events/"
    ended(run("mosquitto_pub", who, "-t", topic, "-m", "kept", "-r", "-q", "1"))
    found = azure.wait_for_telemetry(1, "mosquitto-retain")[0]
    assert found.properties == {"mqtt-retain": "true"}


def test_the_will_of_a_client_that_is_killed_becomes_a_message(
    azure: RunningAzure, run: Mosquitto
) -> None:
    who = registered(azure, run, "mosquitto-will")
    topics = ("-t", "devices/mosquitto-will/messages/devicebound/#")
    will = ("--will-topic", "devices/mosquitto-will/messages/events/", "--will-payload", "gone")
    client = heard(run, azure, who, *topics, *will)
    client.kill()
    client.communicate(timeout=PATIENCE_S)
    found = azure.wait_for_telemetry(1, "mosquitto-will")[0]
    assert (found.body, found.properties) == (b"gone", {"iothub-MessageType": "Will"})


@pytest.mark.parametrize(
    "words",
    [
        ("-t", "devices/mosquitto-foe/messages/events/", "-q", "2"),
        ("-t", "somewhere/else", "-q", "1"),
    ],
    ids=["QoS 2", "a foreign topic"],
)
def test_what_a_hub_does_not_serve_ends_the_connection(
    azure: RunningAzure, run: Mosquitto, words: tuple[str, ...]
) -> None:
    who = registered(azure, run, "mosquitto-foe")
    program = run("mosquitto_pub", who, *words, "-m", "hello")
    said, _ = program.communicate(timeout=PATIENCE_S)
    assert program.returncode != 0, said
    assert azure.telemetry("mosquitto-foe") == []


def test_the_hub_refuses_a_stranger(azure: RunningAzure, run: Mosquitto) -> None:
    who = at_hub(azure, "stranger", "d3JvbmctYnV0LWxvbmctZW5vdWdo")
    program = run("mosquitto_pub", who, "-t", "devices/stranger/messages/events/", "-m", "hello")
    said, _ = program.communicate(timeout=PATIENCE_S)
    assert program.returncode == 5
    assert "not authori" in said.lower()
