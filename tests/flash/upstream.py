"""Where images come from: a real HTTP server on this PC, which answers as its paths say."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from aiohttp import web

from firstlight import boards
from firstlight.boards import Board, Firmware
from tests.flash.imagery import pico_image

PICO = boards.load("RPI_PICO_W")
DATA = pico_image(PICO).data


@dataclass
class Upstream:
    """A server. data: what its images are; asked: the paths that were asked for."""

    url: str = ""
    data: bytes = DATA
    asked: list[str] = field(default_factory=list)

    def board(self, path: str = "pico-v1.uf2", sha256: str | None = None) -> Board:
        return replace(PICO, firmware=Firmware(f"{self.url}/{path}", sha256))

    async def answer(self, request: web.Request) -> web.StreamResponse:
        path = request.path[1:]
        self.asked.append(path)
        if path.startswith("elsewhere"):
            raise web.HTTPFound("/pico-v1.uf2")
        if path.startswith("missing"):
            raise web.HTTPNotFound
        told = len(self.data) + (1 if path.startswith("cut") else 0)
        if not path.startswith(("cut", "hangs")):
            return web.Response(body=self.data)
        answer = web.StreamResponse(headers={"Content-Length": str(told)})
        await answer.prepare(request)
        await answer.write(self.data[:-512])
        if path.startswith("hangs"):
            await asyncio.Event().wait()
        assert request.transport is not None
        request.transport.close()
        return answer


@contextmanager
def serving() -> Iterator[Upstream]:
    """The server, in a thread of its own."""
    upstream, loop = Upstream(), asyncio.new_event_loop()

    async def start() -> web.AppRunner:
        app = web.Application()
        app.router.add_get("/{path:.*}", upstream.answer)
        runner = web.AppRunner(app, shutdown_timeout=0, handler_cancellation=True)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        upstream.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        return runner

    runner = loop.run_until_complete(start())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield upstream
    asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()
