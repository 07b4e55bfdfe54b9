"""Faults in the bytes of HTTPS, as a client of DPS's device API sees them."""

import json
import time

import pytest

from firstlight.emulator.running import RunningAzure
from tests.emulator.broken import CLOSED, FIN, RESET, SILENT, Observer
from tests.emulator.peers import token

SOON_S = 0.3


class TestBytesOverHttps:
    """Faults of the wire, over HTTPS."""

    @pytest.mark.parametrize(
        ("fault", "data", "how"),
        [
            ("register close end=fin", b"", FIN),
            ("register close", b"", CLOSED),
            ("register-answer close end=reset", b"", RESET),
            ("register-answer cut bytes=20 end=fin", b"HTTP/1.1 202 Accepte", FIN),
            ("register-answer replace hex=00ff", b"\0\xff", CLOSED),
            ("register hold seconds=0.2", b"", RESET),
        ],
    )
    def test_an_answer_ends_as_told(
        self, azure: RunningAzure, fault: str, data: bytes, how: str
    ) -> None:
        azure.add_fault(fault)
        with Observer(azure, port=azure.https_port) as peer:
            peer.send(self.request(azure))
            assert peer.rest() == (data, how)

    @pytest.mark.parametrize("fault", ["register ignore", "register-answer drop"])
    def test_no_answer_comes(self, azure: RunningAzure, fault: str) -> None:
        azure.add_fault(fault)
        with Observer(azure, port=azure.https_port) as peer:
            peer.send(self.request(azure))
            assert peer.rest(SOON_S) == (b"", SILENT)
        found = azure.call(lambda local: local.store.registration("dev-1"))
        assert (found is None) is ("ignore" in fault)

    def test_an_answer_comes_late_and_in_pieces(self, azure: RunningAzure) -> None:
        azure.add_fault("register-answer split size=40")
        azure.add_fault(f"register delay seconds={SOON_S}")
        began = time.monotonic()
        with Observer(azure, port=azure.https_port) as peer:
            peer.send(self.request(azure))
            data, how = peer.rest()
        assert (data[:12], how) == (b"HTTP/1.1 202", CLOSED)
        head, _, body = data.partition(b"\r\n\r\n")
        assert f"Content-Length: {len(body)}".encode() in head
        assert json.loads(body)["status"] == "assigning"
        assert time.monotonic() - began >= SOON_S

    def test_a_client_that_has_gone_is_not_waited_for(self, azure: RunningAzure) -> None:
        azure.add_fault("register hold seconds=3600")
        with Observer(azure, port=azure.https_port) as peer:
            peer.send(self.request(azure))
            assert azure.wait_for(lambda local: local.servers.http._handling)
        assert azure.wait_for(lambda local: not local.servers.http._handling)

    def test_a_request_by_the_wrong_method_is_none(self, azure: RunningAzure) -> None:
        azure.add_fault("packet-in ignore times=1")
        with Observer(azure, port=azure.https_port) as peer:
            peer.send(self.request(azure).replace(b"PUT", b"GET"))
            assert peer.rest(SOON_S)[0].startswith(b"HTTP/1.1 405 ")
        assert [fault["matches"] for fault in azure.faults()] == [0]

    def request(self, azure: RunningAzure) -> bytes:
        key = azure.enroll_device("dev-1").keys.primary_b64
        path = f"{azure.id_scope}/registrations/dev-1"
        return (
            f"PUT /{path}/register?api-version=2021-06-01 HTTP/1.1\r\nHost: localhost\r\n"
            f"Authorization: {token(path, key)}\r\nContent-Length: 0\r\n\r\n"
        ).encode()
