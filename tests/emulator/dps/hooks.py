"""A custom allocation webhook over real HTTP, in a thread of its own."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.emulator.peers import PATIENCE_S


class Hook:
    """A webhook. asked: the requests; answer: what it says, once `may_answer` is set."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.answer: dict[str, Any] = {"iotHubHostName": "127.0.0.1", "payload": {"seen": True}}
        self.was_asked = threading.Event()
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.url = ""

    def take(self, body: bytes) -> bytes:
        self.asked.append(json.loads(body))
        self.was_asked.set()
        self.may_answer.wait(PATIENCE_S)
        return json.dumps(self.answer).encode()


@contextmanager
def serving(hook: Hook) -> Iterator[Hook]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = hook.take(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    hook.url = f"http://127.0.0.1:{server.server_port}/hook?code=secret"
    try:
        yield hook
    finally:
        hook.may_answer.set()
        server.shutdown()
        thread.join()
        server.server_close()
