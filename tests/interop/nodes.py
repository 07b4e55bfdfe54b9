"""A Node program that a test talks to, a JSON line at a time (node/judge.js is the other end).

Keys go by stdin, never into argv or the environment. Every wait is bounded.
"""

import json
import os
import queue
import subprocess
import threading
from pathlib import Path
from typing import Any

from tests.interop.places import PATIENCE_S

FOLDER = Path(__file__).with_name("node")


class NodeError(Exception):
    """What an SDK's call failed with. name: the error's class; status: HTTP's, or None."""

    def __init__(self, told: dict[str, Any]) -> None:
        super().__init__(f"{told['name']}: {told['message']} {told['body'] or ''}".rstrip())
        self.name = told["name"]
        self.status = told["status"]
        self.body = told["body"]


class NodeScript:
    """A running script of the folder node/."""

    def __init__(self, node: str, script: str, root_pem: Path) -> None:
        self._process = subprocess.Popen(
            [node, "--no-deprecation", FOLDER / script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=os.environ | {"NODE_EXTRA_CA_CERTS": str(root_pem)},
            text=True,
        )
        self._answers: queue.Queue[dict[str, Any]] = queue.Queue()
        self._events: queue.Queue[tuple[str, Any]] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def do(self, what: str, **args: Any) -> Any:
        """Carry out one deed of the script; its result. Raise NodeError if the SDK did."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"id": 0, "do": what, "with": args}) + "\n")
        self._process.stdin.flush()
        answer = self._answers.get(timeout=PATIENCE_S)
        if "error" in answer:
            raise NodeError(answer["error"])
        return answer["result"]

    def event(self, name: str) -> Any:
        """The data of the next event of that name; others before it are passed over."""
        while True:
            found, data = self._events.get(timeout=PATIENCE_S)
            if found == name:
                return data

    def end(self) -> None:
        """End the process; by force if it does not end by itself."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.close()
            self._process.wait(2)
        except (subprocess.TimeoutExpired, BrokenPipeError):
            self._process.kill()
            self._process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        self._process.stdout.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            told = json.loads(line)
            if "event" in told:
                self._events.put((told["event"], told["data"]))
            else:
                self._answers.put(told)
