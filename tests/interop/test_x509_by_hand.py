"""The articles' path by hand, with certificates: openssl, an ordinary MQTT client, curl.

The commands are the articles' own: on DPS over raw MQTT with X.509 (a client certificate, and the
password left blank), on DPS over REST, Azure's iot-dps-https-x509-support. What differs is said: a
host where the local Azure is, --connect-to, and smaller keys where a test would wait for them.
"""

import ssl
from collections.abc import Callable

import pytest

from firstlight.azure import Service, parse_connection
from firstlight.emulator.running import RunningAzure
from tests.emulator.peers import REGISTER
from tests.interop.handwork import DPS, Paho, Reply, Shell, shell_at

ID = "dpstestdev01"
SELF_SIGNED = """
openssl req -outform PEM -x509 -sha256 -newkey rsa:2048 -keyout device-key.pem \
  -out device-cert.pem -days 30 -extensions usr_cert -addext extendedKeyUsage=clientAuth \
  -subj "/CN=my-x509-device" -passout pass:1234
"""
FOR_MQTT = """
openssl ecparam -name prime256v1 -genkey -noout -out dpstestdev01.key.pem
openssl req -new -x509 -sha256 -key dpstestdev01.key.pem -days 30 -subj "/CN=$ID" \
  -out dpstestdev01.cert.pem
"""
# Azure's tutorial-custom-hsm-enrollment-group-x509: a root, an intermediate, a device; EC keys.
CHAIN = """
new_key() { openssl ecparam -name prime256v1 -genkey -noout -out $1.key.pem; }
ca() { printf 'basicConstraints=critical,CA:true\\nkeyUsage=critical,keyCertSign,cRLSign\\n'; }
device() { printf 'basicConstraints=CA:FALSE\\nextendedKeyUsage=clientAuth\\n'; }
new_key root
openssl req -new -x509 -sha256 -key root.key.pem -days 30 -out root.cert.pem \
  -subj "/CN=Azure IoT Hub CA Cert Test Only"
new_key intermediate
openssl req -new -sha256 -key intermediate.key.pem -out intermediate.csr.pem \
  -subj "/CN=Azure IoT Hub Intermediate Cert Test Only"
openssl x509 -req -sha256 -in intermediate.csr.pem -CA root.cert.pem -CAkey root.key.pem \
  -CAcreateserial -days 30 -extfile <(ca) -out intermediate.cert.pem
new_key device-01
openssl req -new -sha256 -key device-01.key.pem -out device-01.csr.pem -subj "/CN=device-01"
openssl x509 -req -sha256 -in device-01.csr.pem -CA intermediate.cert.pem \
  -CAkey intermediate.key.pem -CAcreateserial -days 30 -extfile <(device) -out device-01.cert.pem
cat device-01.cert.pem intermediate.cert.pem root.cert.pem > device-01-full-chain.cert.pem
"""
# Azure's how-to-verify-certificates: what is signed with the CA has the code as its name.
PROOF = """
openssl ecparam -name prime256v1 -genkey -noout -out proof.key.pem
openssl req -new -sha256 -key proof.key.pem -subj "/CN=$CODE" -out proof.csr.pem
openssl x509 -req -sha256 -in proof.csr.pem -CA root.cert.pem -CAkey root.key.pem \
  -CAcreateserial -days 1 -out proof.cert.pem
"""
AS_DEVICE = (
    '-h $HOST -p $PORT --cafile $ROOT --cert "$CERT" --key "$KEY" -V mqttv311 -i "$ID" '
    '-u "$SCOPE/registrations/$ID/api-version=2019-03-31"'
)
REGISTER_BY_MQTT = f"-t '{REGISTER}1' -m '{{\"registrationId\": \"'$ID'\"}}' -q 1"
AT_HUB = AS_DEVICE.replace(
    "$SCOPE/registrations/$ID/api-version=2019-03-31", "$HOST/$ID/?api-version=2021-04-12"
)
TELEMETRY = "-t devices/$ID/messages/events/ -q 1"
CURL = "curl -sS $AT -L -i"
AS_JSON = "-H 'Content-Type: application/json' -H 'Content-Encoding:  utf-8'"
BLANK = pytest.mark.parametrize(
    "password", ["", '-P ""'], ids=["no password", "an empty password"]
)


@pytest.fixture(scope="module")
def shell(
    program: Callable[[str], str],
    azure: RunningAzure,
    tmp_path_factory: pytest.TempPathFactory,
) -> Shell:
    return shell_at(program, tmp_path_factory.mktemp("by-hand"), azure)


@pytest.fixture(scope="module")
def by_mqtt(shell: Shell) -> Shell:
    """The article's device dpstestdev01, enrolled by its certificate."""
    mine = shell.having(ID=ID, CERT="dpstestdev01.cert.pem", KEY="dpstestdev01.key.pem")
    mine.good(FOR_MQTT)
    enroll(mine, ID, "dpstestdev01.cert.pem")
    return mine


@pytest.fixture(scope="module")
def chained(shell: Shell) -> Shell:
    """The tutorial's chain, in the folder; nothing of it is known to the service yet."""
    shell.good(CHAIN)
    return shell.having(
        ID="device-01", CERT="device-01-full-chain.cert.pem", KEY="device-01.key.pem"
    )


def service(azure: RunningAzure) -> Service:
    return Service(parse_connection(azure.connection_string), azure.root_pem)


def enroll(shell: Shell, id: str, certificate: str) -> None:
    """What the articles do in the portal, by the service's API."""
    pem = (shell.folder / certificate).read_text()
    attestation = {
        "type": "x509",
        "x509": {"clientCertificates": {"primary": {"certificate": pem}}},
    }
    document = {"registrationId": id, "attestation": attestation}
    service(shell.azure).create("enrollments", id, document)


def lookup(shell: Shell) -> Reply:
    """The device registration status lookup of Azure's article on access to DPS."""
    return shell.curl(
        f"{CURL} -X POST --cert $CERT --key $KEY {AS_JSON} -d '{{\"registrationId\": \"'$ID'\"}}'"
        f" https://{DPS}/$SCOPE/registrations/$ID?api-version=2021-06-01"
    )


@BLANK
def test_an_ordinary_mqtt_client_registers_and_sends_with_a_certificate_and_a_blank_password(
    by_mqtt: Shell, password: str
) -> None:
    azure = by_mqtt.azure
    already = len(azure.telemetry(ID))
    by_mqtt.good(f"mosquitto_pub {AS_DEVICE} {password} {REGISTER_BY_MQTT}")
    state = lookup(by_mqtt).document
    assert (state["status"], state["assignedHub"]) == ("assigned", azure.host)
    by_mqtt.good(f"mosquitto_pub {AT_HUB} {password} {TELEMETRY} -m 21.5")
    assert azure.wait_for_telemetry(already + 1, ID)[-1].body == b"21.5"


def test_without_its_certificate_the_device_is_nobody(by_mqtt: Shell) -> None:
    azure, shown = by_mqtt.azure, '--cert "$CERT" --key "$KEY"'
    with Paho(azure, ID, ssl.create_default_context(cafile=str(azure.root_pem))) as bare:
        topic, document = bare.register()
    assert (topic, document["errorCode"]) == ("$dps/registrations/res/401/?$rid=1", 401002)
    said = by_mqtt.run(f"mosquitto_pub {AT_HUB.replace(shown, '')} {TELEMETRY} -m never")
    assert (said.code, "not authori" in said.err.lower()) == (5, True)


def test_subscribe_register_poll_as_the_article_clicks_it(by_mqtt: Shell) -> None:
    tls = ssl.create_default_context(cafile=str(by_mqtt.azure.root_pem))
    tls.load_cert_chain(by_mqtt.folder / f"{ID}.cert.pem", by_mqtt.folder / f"{ID}.key.pem")
    with Paho(by_mqtt.azure, ID, tls) as device:
        topic, document = device.register()
        assert topic.startswith("$dps/registrations/res/202/?$rid=1&retry-after=")
        while document["status"] == "assigning":
            topic, document = device.poll(document["operationId"])
    assert topic == "$dps/registrations/res/200/?$rid=2"
    state = document["registrationState"]
    assert (state["assignedHub"], state["deviceId"]) == (by_mqtt.azure.host, ID)


def test_the_articles_curl_registers_and_sends_with_a_certificate(shell: Shell) -> None:
    id = "my-x509-device"
    shell.good(SELF_SIGNED)
    enroll(shell, id, "device-cert.pem")
    at = f"https://{DPS}/$SCOPE/registrations/{id}"
    shows = "--cert device-cert.pem:1234 --key device-key.pem"
    first = shell.curl(
        f"{CURL} -X PUT {shows} {AS_JSON} "
        f'-d \'{{"registrationId": "{id}"}}\' {at}/register?api-version=2021-06-01'
    )
    assert (first.status, first.document["status"]) == (202, "assigning")
    operation = first.document["operationId"]
    second = first
    while second.status == 202:
        second = shell.curl(
            f"{CURL} -X GET {shows} {AS_JSON} {at}/operations/{operation}?api-version=2021-06-01"
        )
    state = second.document["registrationState"]
    assert (second.document["status"], state["assignedHub"]) == ("assigned", shell.azure.host)
    assert (state["x509"], state["deviceId"]) == ({}, id)
    sent = shell.curl(
        f"{CURL} -X POST {shows} {AS_JSON} -d '{{\"temperature\": 30}}' "
        f"https://$HOST/devices/{id}/messages/events?api-version=2020-03-13"
    )
    assert (sent.status, sent.document) == (204, None)
    assert shell.azure.wait_for_telemetry(1, id)[0].body == b'{"temperature": 30}'


def test_a_group_of_an_intermediate_whose_root_was_verified_by_hand(chained: Shell) -> None:
    assert chained.good(
        "openssl verify -CAfile root.cert.pem -untrusted intermediate.cert.pem "
        "-purpose sslclient device-01.cert.pem"
    ).endswith("device-01.cert.pem: OK\n")
    pem = (chained.folder / "intermediate.cert.pem").read_text()
    pair = {"primary": {"certificate": pem}}
    attestation = {"type": "x509", "x509": {"signingCertificates": pair}}
    document = {"enrollmentGroupId": "by-hand", "attestation": attestation}
    service(chained.azure).create("enrollmentGroups", "by-hand", document)
    upload_and_verify(chained, "by-hand-root")
    chained.good(f"mosquitto_pub {AS_DEVICE} {REGISTER_BY_MQTT}")
    state = lookup(chained).document
    assert (state["status"], state["x509"]) == ("assigned", {"enrollmentGroupId": "by-hand"})
    chained.good(f"mosquitto_pub {AT_HUB} {TELEMETRY} -m chained")
    assert chained.azure.wait_for_telemetry(1, "device-01")[0].body == b"chained"
    by_curl = chained.curl(
        f'{CURL} -X PUT --cert $CERT --key $KEY {AS_JSON} -d \'{{"registrationId": "device-01"}}\''
        f" https://{DPS}/$SCOPE/registrations/device-01/register?api-version=2019-03-31"
    )
    assert by_curl.status in (200, 202)


def upload_and_verify(shell: Shell, name: str) -> None:
    """The proof of possession, by hand: the CA is unverified until the proof has come."""
    at = f"{CURL} -H 'Content-Type: application/json'"
    where = f"https://$HOST/emulator/certificates/dps/{name}"
    certificate = "$(base64 -w0 root.cert.pem)"
    put = shell.curl(f'{at} -X PUT -d "{{\\"properties\\": {{\\"certificate\\": '
                     f'\\"{certificate}\\"}}}}" {where}')  # fmt: skip
    assert put.status in (200, 201)
    assert put.document["properties"]["isVerified"] is False
    before = lookup(shell)
    assert (before.status, before.document["errorCode"]) == (401, 401002)
    code = shell.curl(f"{at} -X POST {where}/generateVerificationCode").document
    shell.having(CODE=code["properties"]["verificationCode"]).good(PROOF)
    proof = "$(base64 -w0 proof.cert.pem)"
    done = shell.curl(f'{at} -X POST -d "{{\\"certificate\\": \\"{proof}\\"}}" {where}/verify')
    assert (done.status, done.document["properties"]["isVerified"]) == (200, True)


def test_openssl_sees_that_a_certificate_is_asked_for_and_of_no_ca_in_particular(
    shell: Shell,
) -> None:
    for port in (shell.azure.mqtt_port, shell.azure.https_port):
        said = shell.good(
            f"openssl s_client -connect $HOST:{port} -tls1_2 -CAfile $ROOT -verify_return_error"
        )
        assert "No client certificate CA names sent" in said
        assert "Client Certificate Types:" in said
        assert "Verify return code: 0 (ok)" in said
        assert "    Session-ID: \n" in said  # nothing to resume
        assert "TLS session ticket" not in said
