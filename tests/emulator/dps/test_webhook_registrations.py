"""Custom allocation all the way: a device over TLS, DPS, and a webhook over HTTP."""

import http.client
import json
import ssl
from pathlib import Path
from typing import Any

from firstlight.emulator.running import RunningAzure, running_azure
from firstlight.emulator.settings import Settings
from tests.emulator.dps.hooks import Hook, serving
from tests.emulator.peers import PATIENCE_S, POLL, REGISTER, join_dps, publish, token

HUBS = ("localhost", "127.0.0.1")


def settings(**more: Any) -> Settings:
    return Settings(
        mqtt_port=0, https_port=0, hubs=HUBS, polls_before_assigned=0, retry_after_s=0, **more
    )


def enroll(azure: RunningAzure, hook: Hook) -> str:
    custom = {"webhookUrl": hook.url, "apiVersion": "2021-10-01"}
    document = {"allocationPolicy": "custom", "customAllocationDefinition": custom}
    return azure.enroll_device("dev-1", document).keys.primary_b64


def register(azure: RunningAzure, key_b64: str, payload: dict[str, Any]) -> str:
    """Over MQTT; gives the operation's id."""
    with join_dps(azure, "dev-1", key_b64) as peer:
        peer.send(publish(REGISTER + "1", json.dumps({"payload": payload}).encode()))
        topic, answer = peer.read_message()
    assert topic == "$dps/registrations/res/202/?$rid=1&retry-after=0"
    return str(json.loads(answer)["operationId"])


def is_assigned(azure: RunningAzure) -> bool:
    def look(local: Any) -> bool:
        record = local.store.registration("dev-1")
        return record is not None and record.status == "assigned"

    return azure.wait_for(look, PATIENCE_S)


def test_a_device_learns_over_mqtt_what_its_webhook_decided() -> None:
    with serving(Hook()) as hook, running_azure(settings()) as azure:
        key = enroll(azure, hook)
        operation = register(azure, key, {"model": 7})
        assert is_assigned(azure)
        with join_dps(azure, "dev-1", key) as peer:
            peer.send(publish(f"{POLL}2&operationId={operation}"))
            _, answer = peer.read_message()
        state = json.loads(answer)["registrationState"]
        assert (state["assignedHub"], state["payload"]) == ("127.0.0.1", {"seen": True})
        assert hook.asked[0]["deviceRuntimeContext"]["payload"] == {"model": 7}
        log = json.dumps(azure.log)
        assert "webhook answered 200" in log
        assert "secret" not in log


def test_a_device_over_https_waits_for_its_webhook_as_well() -> None:
    with serving(Hook()) as hook, running_azure(settings()) as azure:
        key = enroll(azure, hook)
        hook.may_answer.clear()
        path = f"/{azure.id_scope}/registrations/dev-1"
        context = ssl.create_default_context(cafile=str(azure.root_pem))
        headers = {
            "Authorization": token(f"{azure.id_scope}/registrations/dev-1", key),
            "Content-Type": "application/json",
            "Content-Encoding": " utf-8",
        }

        def ask(method: str, path: str) -> tuple[int, Any, Any]:
            connection = http.client.HTTPSConnection(
                "localhost", azure.https_port, timeout=PATIENCE_S, context=context
            )
            try:
                body = None if method == "GET" else b'{"registrationId": "dev-1"}'
                connection.request(method, f"{path}?api-version=2021-06-01", body, headers)
                answer = connection.getresponse()
                return answer.status, answer.headers, json.loads(answer.read())
            finally:
                connection.close()

        status, named, document = ask("PUT", f"{path}/register")
        assert (status, document["status"], named["Retry-After"]) == (202, "assigning", "0")
        assert named["Location"] == f"https://localhost:{azure.https_port}{path}/register"
        operation = f"{path}/operations/{document['operationId']}"
        assert hook.was_asked.wait(PATIENCE_S)
        assert ask("GET", operation)[0] == 202
        assert ask("POST", path)[2]["status"] == "assigning"
        hook.may_answer.set()
        assert is_assigned(azure)
        assert ask("GET", operation)[2]["status"] == "assigned"
        assert ask("POST", path)[2]["assignedHub"] == "127.0.0.1"


def test_a_webhook_that_was_being_asked_at_the_end_is_asked_again_at_the_start(
    tmp_path: Path,
) -> None:
    kept = settings(state=tmp_path / "state")
    with serving(Hook()) as hook:
        hook.may_answer.clear()
        with running_azure(kept) as azure:
            key = enroll(azure, hook)
            operation = register(azure, key, {"model": 7})
            assert hook.was_asked.wait(PATIENCE_S)
        hook.may_answer.set()
        with running_azure(kept) as azure:
            assert is_assigned(azure)
            with join_dps(azure, "dev-1", key) as peer:
                peer.send(publish(f"{POLL}2&operationId={operation}"))
                _, answer = peer.read_message()
        assert json.loads(answer)["status"] == "assigned"
        contexts = [asked["deviceRuntimeContext"] for asked in hook.asked]
        assert contexts == [contexts[0]] * 2
