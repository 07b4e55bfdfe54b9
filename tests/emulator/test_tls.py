"""TLS without asyncio's buffers: what the protocol inside hears, and what it never hears."""

import asyncio
import contextlib
import ssl

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstlight.emulator.root import Root
from tests.emulator.tls_ends import CONTEXT, ROOT, Client, Inside, run


@pytest.mark.parametrize("step", [1, 5, 1 << 20])
def test_bytes_arrive_in_whatever_pieces_tcp_cuts_them(step: int) -> None:
    async def body() -> None:
        client = Client(Inside(lambda inside, data: inside.transport.write(data[::-1])), step)  # type: ignore[union-attr]
        client.connect().say(b"forwards")
        assert client.inside.heard == b"forwards"
        assert client.hear() == b"sdrawrof"

    run(body)


def test_a_goodbye_ends_the_connection_in_good_order() -> None:
    async def body() -> None:
        client = Client(Inside()).connect()
        with contextlib.suppress(ssl.SSLWantReadError):
            client.tls.unwrap()
        client.exchange()
        assert client.tcp.calls == ["eof", "resume"]
        client.server.connection_lost(None)
        assert client.inside.events == ["made", "lost"]

    run(body)


def test_last_words_and_a_goodbye_leave_before_the_end() -> None:
    def answer(inside: Inside, _: bytes) -> None:
        assert inside.transport is not None
        inside.transport.write(b"last words")
        inside.transport.close()
        inside.transport.write(b"too late")
        assert inside.transport.is_closing()

    async def body() -> None:
        client = Client(Inside(answer)).connect()
        client.say(b"first")
        client.say(b"never heard")
        assert client.inside.heard == b"first"
        assert client.hear() == b"last words"
        assert client.tls.read(1) == b""  # close_notify
        assert client.tcp.calls == ["eof", "resume"]

    run(body)


def test_what_came_before_a_pause_waits_for_its_end() -> None:
    def answer(inside: Inside, _: bytes) -> None:
        assert inside.transport is not None
        inside.transport.pause_reading()

    async def body() -> None:
        client = Client(Inside(answer)).connect()
        client.tls.write(b"one")
        client.tls.write(b"two")  # a record of its own, in the same piece of TCP
        client.exchange()
        assert client.inside.heard == b"one"
        assert client.tcp.calls == ["pause"]
        client.server.resume_reading()
        await asyncio.sleep(0)
        assert client.inside.heard == b"onetwo"
        assert client.tcp.calls == ["pause", "resume", "pause"]

    run(body)


def test_a_peer_that_does_not_read_is_told_inside() -> None:
    async def body() -> None:
        client = Client(Inside())
        client.server.pause_writing()  # nobody is inside yet
        client.connect()
        client.server.pause_writing()
        client.server.resume_writing()
        assert client.inside.events == ["made", "pause", "resume"]

    run(body)


def test_connections_share_the_place_where_bytes_arrive() -> None:
    async def body() -> None:
        first, second = Client(Inside()), Client(Inside())
        for client in (first, second):
            client.server._server.came = first.server._server.came
            client.connect()
        for client, words in ((first, b"one"), (second, b"two"), (first, b"three")):
            client.tls.write(words)
            data = client._out.read()
            client.server.get_buffer(-1)[: len(data)] = data
            client.server.buffer_updated(len(data))
        assert first.inside.heard == b"onethree"
        assert second.inside.heard == b"two"

    run(body)


def test_bytes_that_are_no_tls_end_the_handshake_with_openssls_word_for_it() -> None:
    async def body() -> None:
        client = Client(Inside())
        client.server.data_received(b"\x10\x0c\0\4MQTT\4\2\0\x3c\0\0")
        assert client.failures == ["wrong version number"]
        assert client.tcp.calls == ["close"]
        client.server.data_received(b"more")
        client.server.connection_lost(None)
        assert client.inside.events == []

    run(body)


def test_a_device_that_does_not_trust_the_root_says_so() -> None:
    async def body() -> None:
        client = Client(Inside())
        context = ssl.create_default_context(cadata=Root().pem)
        client.tls = context.wrap_bio(client._in, client._out, server_hostname="localhost")
        client.shake_hands()
        with pytest.raises(ssl.SSLCertVerificationError):
            client.exchange()
        client.server.data_received(client._out.read())
        assert client.failures == ["tlsv1 alert unknown ca"]

    run(body)


def test_a_handshake_that_fails_leaves_the_alert_that_says_why() -> None:
    async def body() -> None:
        client = Client(Inside())
        context = ssl.create_default_context(cadata=ROOT.pem)
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        client.tls = context.wrap_bio(client._in, client._out, server_hostname="localhost")
        client.shake_hands()
        with pytest.raises(ssl.SSLError, match="TLSV1_ALERT_PROTOCOL_VERSION"):
            client.exchange()
        assert client.failures == ["unsupported protocol"]

    run(body)


def test_bytes_that_are_no_tls_end_a_connection_that_is_up() -> None:
    async def body() -> None:
        client = Client(Inside()).connect()
        client.server.data_received(b"GET / HTTP/1.1\r\n\r\n")
        assert "eof" in client.tcp.calls
        assert client.inside.heard == b""

    run(body)


@given(st.lists(st.binary(max_size=64), max_size=8), st.booleans())
def test_no_bytes_raise(pieces: list[bytes], is_up: bool) -> None:
    async def body() -> None:
        client = Client(Inside())
        if is_up:
            client.connect()
        for piece in pieces:
            client.server.data_received(piece)
        client.server.connection_lost(None)
        assert client.inside.heard == b""

    run(body)


def test_a_peer_that_never_closes_is_not_waited_for_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("firstlight.emulator.tls._GOODBYE_S", 0.05)

    async def body() -> None:
        client = Client(Inside()).connect()
        client.server.close()
        while "abort" not in client.tcp.calls:
            await asyncio.sleep(0)

    run(body)


def test_the_protocol_inside_can_ask_what_asyncios_own_would_tell() -> None:
    async def body() -> None:
        client = Client(Inside()).connect()
        info = client.server.get_extra_info
        assert client.tls.version() == "TLSv1.2"
        assert info("sslcontext") is CONTEXT
        assert info("peername") == ("127.0.0.1", 5)
        assert info("nothing", "else") == "else"

    run(body)
