"""The TLS server on a real port: long messages, last words, silence, the end."""

import asyncio
import contextlib

from tests.emulator.tls_ends import Inside, Port, run

BIG = bytes(range(256)) * 4096  # 1 MB: more than a record, a read and a socket's buffer


def test_a_megabyte_goes_there_and_back() -> None:
    async def body() -> None:
        echo = Inside(lambda inside, data: inside.transport.write(data))  # type: ignore[union-attr]
        async with Port(lambda: echo) as port:
            reader, writer = await port.connect()
            writer.write(BIG)
            assert await reader.readexactly(len(BIG)) == BIG
            writer.close()

    run(body)


def test_a_peer_that_sends_on_still_gets_the_last_words() -> None:
    def answer(inside: Inside, _: bytes) -> None:
        assert inside.transport is not None
        inside.transport.write(b"refused")
        inside.transport.close()

    async def body() -> None:
        async with Port(lambda: Inside(answer)) as port:
            reader, writer = await port.connect()
            writer.write(b"x" * 65536)
            writer.write(b"y" * 65536)
            assert await reader.read() == b"refused"
            writer.close()

    run(body)


def test_a_handshake_may_take_so_long_and_no_longer() -> None:
    async def body() -> None:
        async with Port(Inside, handshake_s=0.05) as port:
            reader, writer = await asyncio.open_connection("127.0.0.1", port.number)
            await port.failed.wait()
            assert [why for _, why in port.failures] == ["it took too long"]
            assert await reader.read() == b""
            writer.close()

    run(body)


def test_stopping_ends_connections_at_every_stage() -> None:
    async def body() -> None:
        made: list[Inside] = []

        def inside() -> Inside:
            made.append(Inside())
            return made[-1]

        async with Port(inside) as port:
            bare, bare_writer = await asyncio.open_connection("127.0.0.1", port.number)
            up, up_writer = await port.connect()
            await port.server.stop()
            for reader in (bare, up):
                with contextlib.suppress(ConnectionError):
                    assert await reader.read() == b""
            assert [one.events for one in made] == [["made", "lost"]]
            assert not port.server.connections
            for writer in (bare_writer, up_writer):
                writer.close()

    run(body)


def test_a_peer_that_vanishes_is_forgotten() -> None:
    async def body() -> None:
        one = Inside()
        async with Port(lambda: one) as port:
            _, writer = await port.connect()
            writer.transport.abort()
            while "lost" not in one.events:
                await asyncio.sleep(0)
            assert not port.server.connections

    run(body)
