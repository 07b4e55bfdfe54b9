"""Webhooks over real HTTP: a registration over MQTT or HTTPS waits for one, within bounds."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme
from aiohttp import web

from firstlight.emulator.dps.allocation import MAX_WEBHOOK_BYTES, WebhookCall
from firstlight.emulator.webhook import Webhooks

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
PATIENCE_S = 10.0


@asynccontextmanager
async def hook(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Serve a webhook on a free port; gives its URL, with a key in the query."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    port = runner.addresses[0][1]
    try:
        yield f"http{'s' if tls else ''}://localhost:{port}/api/hook?code=secret"
    finally:
        await runner.cleanup()


class Listener:
    """What webhooks told: answers, and lines for the log."""

    def __init__(self, timeout_s: float = PATIENCE_S, roots: Path | None = None) -> None:
        self.answers: asyncio.Queue[tuple[str, int, bytes]] = asyncio.Queue()
        self.log: list[str] = []
        self.hooks = Webhooks(
            lambda *answer: self.answers.put_nowait(answer),
            lambda where, what: self.log.append(f"{where} {what}"),
            timeout_s,
            roots,
        )

    async def ask(self, url: str, body: bytes = b"{}") -> tuple[str, int, bytes]:
        self.hooks.ask(WebhookCall("5.a", url, body))
        return await asyncio.wait_for(self.answers.get(), PATIENCE_S)


def test_the_request_goes_out_as_json_and_the_answer_comes_back() -> None:
    async def run() -> None:
        got: list[tuple[str, str | None, bytes]] = []

        async def answer(request: web.Request) -> web.Response:
            body = await request.read()
            got.append((request.method, request.headers.get("Content-Type"), body))
            assert request.query["code"] == "secret"
            return web.json_response({"iotHubHostName": "hub-b"}, status=201)

        listener = Listener()
        async with hook(answer) as url:
            operation, status, body = await listener.ask(url, b'{"a": 1}')
        await listener.hooks.stop()
        assert (operation, status) == ("5.a", 201)
        assert json.loads(body) == {"iotHubHostName": "hub-b"}
        assert got == [("POST", "application/json; charset=utf-8", b'{"a": 1}')]
        assert "answered 201" in listener.log[0]
        assert "secret" not in listener.log[0]

    asyncio.run(run())


def test_a_webhook_that_says_nothing_is_504() -> None:
    async def run() -> None:
        async def never(_: web.Request) -> web.Response:
            await asyncio.Event().wait()
            raise AssertionError

        listener = Listener(timeout_s=0.05)
        async with hook(never) as url:
            assert (await listener.ask(url))[1] == 504
        await listener.hooks.stop()

    asyncio.run(run())


def test_a_webhook_that_is_not_there_is_502_and_its_key_is_not_told() -> None:
    async def run() -> None:
        listener = Listener()
        for url in (
            "http://127.0.0.1:1/x?code=secret",
            "http://user:secret@127.0.0.1:1/x",
            "http://no.such.host.invalid/?c=secret",
        ):
            assert (await listener.ask(url))[1] == 502
        await listener.hooks.stop()
        assert "secret" not in "".join(listener.log)

    asyncio.run(run())


def test_a_redirection_is_not_followed_and_a_flood_is_cut() -> None:
    async def run() -> None:
        async def elsewhere(request: web.Request) -> web.StreamResponse:
            if request.path == "/flood":
                answer = web.StreamResponse()
                await answer.prepare(request)
                for _ in range(100):
                    await answer.write(b"x" * MAX_WEBHOOK_BYTES)
                return answer
            raise web.HTTPFound("/api/other")

        listener = Listener()
        async with hook(elsewhere) as url:
            assert (await listener.ask(url))[1] == 302
            _, status, body = await listener.ask(url.replace("/api/hook", "/flood"))
        await listener.hooks.stop()
        assert status == 200
        assert not isinstance(json.loads(body), dict)

    asyncio.run(run())


def test_https_is_trusted_by_the_roots_that_were_given(tmp_path: Path) -> None:
    async def run() -> None:
        async def answer(_: web.Request) -> web.Response:
            return web.json_response({})

        authority = trustme.CA()
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        authority.issue_cert("localhost").configure_cert(tls)
        roots = tmp_path / "roots.pem"
        authority.cert_pem.write_to_path(str(roots))
        trusting, wary = Listener(roots=roots), Listener()
        async with hook(answer, tls) as url:
            assert (await trusting.ask(url))[1] == 200
            assert (await wary.ask(url))[1] == 502
        await trusting.hooks.stop()
        await wary.hooks.stop()

    asyncio.run(run())


def test_only_so_many_calls_are_under_way_and_all_are_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("firstlight.emulator.webhook._AT_ONCE", 3)

    async def run() -> None:
        now, most = 0, 0

        async def answer(_: web.Request) -> web.Response:
            nonlocal now, most
            now += 1
            most = max(most, now)
            await asyncio.sleep(0)
            now -= 1
            return web.json_response({})

        listener = Listener()
        async with hook(answer) as url:
            for number in range(20):
                listener.hooks.ask(WebhookCall(f"5.{number}", url, b"{}"))
            answers = [
                await asyncio.wait_for(listener.answers.get(), PATIENCE_S) for _ in range(20)
            ]
        await listener.hooks.stop()
        assert {operation for operation, _, _ in answers} == {f"5.{n}" for n in range(20)}
        assert most <= 3

    asyncio.run(run())


def test_what_is_under_way_at_the_end_is_ended() -> None:
    async def run() -> None:
        reached = asyncio.Event()

        async def never(_: web.Request) -> web.Response:
            reached.set()
            await asyncio.Event().wait()
            raise AssertionError

        listener = Listener()
        async with hook(never) as url:
            listener.hooks.ask(WebhookCall("5.a", url, b"{}"))
            await asyncio.wait_for(reached.wait(), PATIENCE_S)
            await listener.hooks.stop()
        assert listener.answers.empty()

    asyncio.run(run())
