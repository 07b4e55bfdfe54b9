"""The service API of DPS with a fixed clock, spoken to with good tokens unless a test says not."""

import itertools
import json
from typing import Any

from firstlight.emulator.answers import Answer
from firstlight.emulator.dps.api import ServiceApi
from firstlight.emulator.dps.rules import Rules
from firstlight.emulator.dps.store import Store
from firstlight.emulator.journal import Journal
from firstlight.emulator.policies import DPS_POLICIES, Policies
from firstlight.emulator.rest import Call
from tests.emulator.peers import token

NOW = 1_795_000_000.0
HOST = "localhost:8443"
OWNER = "provisioningserviceowner"


class Api:
    def __init__(self, journal: Journal | None = None, **rules: Any) -> None:
        self.now_at = NOW
        counter = itertools.count(1)
        self.random = lambda count: next(counter).to_bytes(count, "big")
        self.store = Store(journal)
        self.policies = Policies("dps", DPS_POLICIES, self.random)
        self.api = ServiceApi(
            Rules("0ne00111111", **rules),
            self.store,
            self.policies,
            lambda: frozenset((HOST,)),
            self.random,
        )

    def token(self, policy: str = OWNER, resource: str = HOST, se: int = int(NOW) + 60) -> str:
        found = self.policies.get(policy)
        assert found is not None
        return token(resource, found.keys.primary_b64, se, policy)

    def call(self, method: str, path: str, document: Any = None, **headers: str) -> Answer:
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        fields = {"authorization": self.token()} | named
        sent = b"" if document is None else body
        call = Call(method, path, {"api-version": "2021-10-01"}, fields, sent)
        answer = self.api.handle(call, self.now_at)
        assert len(answer.headers["x-ms-request-id"]) == 36
        return answer

    def error(self, *args: Any, **headers: str) -> tuple[int, int]:
        answer = self.call(*args, **headers)
        assert answer.headers["x-ms-error-code"] == str(answer.document["errorCode"])
        return answer.status, answer.document["errorCode"]
