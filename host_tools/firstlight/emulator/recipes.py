"""What a person may type to use a local Azure, as lines for a shell. Each works as printed.

Pure, and without a secret: the lines read keys from the files that they are in.
"""

from collections.abc import Mapping
from shlex import quote
from typing import Any

DEVICE = "dev-1"
_PYTHON = """\
python3 - <<'END'
from azure.iot.device import IoTHubDeviceClient, ProvisioningDeviceClient
from firstlight import keys
from firstlight.emulator import names

root = open({root!r}).read()
key = keys.derive(open({key!r}).read().strip(), {device!r})
with names.redirected({folder!r}):
    dps = ProvisioningDeviceClient.create_from_symmetric_key(
        {dps!r}, {device!r}, {scope!r}, key, server_verification_cert=root)
    state = dps.register().registration_state
    hub = IoTHubDeviceClient.create_from_symmetric_key(
        key, state.assigned_hub, state.device_id, server_verification_cert=root)
    hub.send_message("from the Python SDK")
    hub.shutdown()
END
"""


def recipes(info: Mapping[str, Any], folder: str, dps_name: str, hub: str) -> dict[str, list[str]]:
    """Titles and lines, of what info says. folder: with root.pem and group.key; must have both.

    hub: the one that DEVICE is assigned to.
    """
    scope = info["id_scope"]
    base = f"https://{info['dps_host']}:{info['https_port']}"
    curl = f"curl --cacert {quote(folder + '/root.pem')}"
    mqtt = (
        f"-h {_reachable(hub, info)} -p {info['mqtt_port']} -V mqttv311 "
        f"--cafile {quote(folder + '/root.pem')} -i {DEVICE} "
        f"-u '{hub}/{DEVICE}/?api-version=2021-04-12' -P \"$TOKEN\" -q 1"
    )
    python = _PYTHON.format(
        root=f"{folder}/root.pem",
        key=f"{folder}/group.key",
        device=DEVICE,
        folder=folder,
        dps=dps_name,
        scope=scope,
    )
    return {
        f"register {DEVICE} over HTTPS": [
            _token(folder, f"{scope}/registrations/{DEVICE}", " --policy registration"),
            f"{curl} -X PUT -H \"Authorization: $TOKEN\" -H 'Content-Type: application/json' "
            f'-d \'{{"registrationId": "{DEVICE}"}}\' '
            f"'{base}/{scope}/registrations/{DEVICE}/register?api-version=2021-06-01'",
        ],
        f"send as {DEVICE}, and wait for a message to it": [
            _token(folder, f"{hub}/devices/{DEVICE}", ""),
            f"mosquitto_pub {mqtt} -t devices/{DEVICE}/messages/events/ -m 'from mosquitto_pub'",
            f"mosquitto_sub {mqtt} -t 'devices/{DEVICE}/messages/devicebound/#' -C 1",
        ],
        "send it one, from another terminal": _message(hub, info, folder, curl),
        "what the hubs received, as a list and as it comes": [
            f"{curl} '{base}/emulator/telemetry?device={DEVICE}'",
            f"{curl} -N '{base}/emulator/telemetry/stream?device={DEVICE}'",
        ],
        "both, with the Python SDK": python.splitlines(),
    }


def _message(hub: str, info: Mapping[str, Any], folder: str, curl: str) -> list[str]:
    return [
        f"TOKEN=$(sed 's/.*SharedAccessKey=//' {quote(f'{folder}/hub-{hub}.txt')} | "
        f"firstlight keys sas {hub} --policy iothubowner --key -)",
        f'{curl}{_at(hub, info)} -H "Authorization: $TOKEN" '
        f"-H 'iothub-to: /devices/{DEVICE}/messages/deviceBound' -d 'from curl' "
        f"'https://{hub}:{info['https_port']}/messages/deviceBound?api-version=2021-04-12'",
    ]


def _token(folder: str, resource: str, policy: str) -> str:
    key = quote(f"file:{folder}/group.key")
    return (
        f"TOKEN=$(firstlight keys derive {DEVICE} --group-key {key} | "
        f"firstlight keys sas {resource}{policy} --key -)"
    )


def _at(hub: str, info: Mapping[str, Any]) -> str:
    """Curl's option for where a hub is whose name does not resolve; the others need none."""
    address = info["addresses"][hub]
    is_found = hub in ("localhost", address)
    return "" if is_found else f" --resolve {hub}:{info['https_port']}:{address}"


def _reachable(hub: str, info: Mapping[str, Any]) -> str:
    """A name for the hub that resolves everywhere: its own if that does, or its address."""
    return hub if hub == "localhost" else str(info["addresses"][hub])
