"""Faults before TLS is up, as a client's TCP and TLS see them."""

import socket
import ssl
import time

import pytest

from firstlight.emulator import threshold
from firstlight.emulator.running import RunningAzure, running_azure
from firstlight.emulator.settings import Settings
from tests.emulator.broken import FIN, RESET, Observer, at_dps, before_tls
from tests.emulator.peers import PATIENCE_S

SOON_S = 0.3


@pytest.mark.parametrize("point", ["accept", "hello"])
@pytest.mark.parametrize("end", [FIN, RESET])
def test_a_hub_that_is_gone_ends_the_connection_at_once(
    azure: RunningAzure, point: str, end: str
) -> None:
    azure.add_fault(f"{point} close end={end} times=1")
    assert before_tls(azure) in ((end,) if end == RESET else (FIN, "UNEXPECTED_EOF_WHILE_READING"))
    assert before_tls(azure) == "ok"
    (told,) = [event for event in azure.log if event["part"] == "fault"]
    assert told["id"] == ("localhost" if point == "hello" else "127.0.0.1")


@pytest.mark.parametrize("point", ["accept", "hello"])
def test_the_handshake_does_not_begin_and_the_wait_is_bounded(
    azure: RunningAzure, point: str
) -> None:
    azure.add_fault(f"{point} hold seconds={SOON_S}")
    began = time.monotonic()
    assert before_tls(azure) == RESET
    assert time.monotonic() - began >= SOON_S


@pytest.mark.parametrize("point", ["accept", "hello"])
def test_the_handshake_goes_on_later(azure: RunningAzure, point: str) -> None:
    azure.add_fault(f"{point} delay seconds={SOON_S}")
    began = time.monotonic()
    with at_dps(azure):
        assert time.monotonic() - began >= SOON_S


@pytest.mark.parametrize("end", [FIN, RESET])
def test_the_handshake_stops_in_the_middle_of_the_servers_flight(
    azure: RunningAzure, end: str
) -> None:
    azure.add_fault(f"hello cut bytes=100 end={end}")
    with socket.create_connection((azure.host, azure.mqtt_port), PATIENCE_S) as raw:
        raw.sendall(client_hello())
        got = b""
        how = FIN
        try:
            while piece := raw.recv(1000):
                got += piece
        except ConnectionResetError:
            how = RESET
    assert (len(got), got[0], how) == (100, 22, end)


@pytest.mark.parametrize(("code", "reason"), [(40, "HANDSHAKE_FAILURE"), (112, "UNRECOGNIZED")])
def test_tls_ends_with_an_alert(azure: RunningAzure, code: int, reason: str) -> None:
    azure.add_fault(f"hello alert code={code}")
    assert reason in before_tls(azure)


@pytest.mark.parametrize(
    ("kind", "why"),
    [
        ("expired", "certificate has expired"),
        ("not-yet-valid", "certificate is not yet valid"),
        ("wrong-name", "Hostname mismatch"),
        ("unknown-root", "unable to get local issuer certificate"),
    ],
)
def test_a_wrong_certificate_is_refused_by_a_client_that_checks(
    azure: RunningAzure, kind: str, why: str
) -> None:
    azure.add_fault(f"hello certificate kind={kind} times=1")
    assert why in before_tls(azure)
    assert before_tls(azure) == "ok"


def test_faults_go_by_the_name_that_the_client_asks_for(azure: RunningAzure) -> None:
    name = "global.azure-devices-provisioning.net"
    azure.add_fault(f"hello close hub={name}")
    assert before_tls(azure, name) == RESET
    assert before_tls(azure, "localhost") == "ok"


def test_faults_go_by_the_address_that_the_client_comes_to() -> None:
    with running_azure(
        Settings(mqtt_port=0, https_port=0, addresses={"localhost": "127.0.0.2"})
    ) as azure:
        azure.add_fault("accept close address=127.0.0.2")
        assert before_tls(azure) == "ok"
        with (
            pytest.raises(ConnectionResetError),
            socket.create_connection(("127.0.0.2", azure.mqtt_port), PATIENCE_S) as raw,
        ):
            raw.recv(1)


def test_https_is_spared_unless_it_is_named(azure: RunningAzure) -> None:
    azure.add_fault("accept close")
    assert before_tls(azure, port=azure.https_port) == "ok"
    azure.add_fault("hello close over=https")
    assert before_tls(azure, port=azure.https_port) == RESET


def test_what_is_no_tls_at_all_passes_on_to_be_refused(azure: RunningAzure) -> None:
    azure.add_fault("hello certificate kind=expired")
    with socket.create_connection((azure.host, azure.mqtt_port), PATIENCE_S) as raw:
        raw.sendall(b"GET / HTTP/1.1\r\n\r\n")
        while raw.recv(1000):
            pass
    with Observer(azure, "127.0.0.1", azure.https_port):
        pass


def test_an_end_that_the_client_does_not_heed_is_an_end_all_the_same(
    azure: RunningAzure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threshold, "_CLOSE_S", 0.1)
    azure.add_fault("accept close end=fin")
    with socket.create_connection((azure.host, azure.mqtt_port), PATIENCE_S) as raw:
        assert raw.recv(1) == b""
        assert azure.wait_for(lambda local: not local.servers.mqtt.tls.connections)


def test_a_hello_in_many_pieces_is_read_whole(azure: RunningAzure) -> None:
    azure.add_fault("hello cut bytes=5 end=reset hub=localhost")
    with socket.create_connection((azure.host, azure.mqtt_port), PATIENCE_S) as raw:
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        hello = client_hello()
        for i in range(0, len(hello), 50):
            raw.sendall(hello[i : i + 50])
        assert raw.recv(100)[0] == 22


def client_hello() -> bytes:
    came, sent = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    tls = context.wrap_bio(came, sent, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        tls.do_handshake()
    return sent.read()
