"""DPS's REST API for devices: register, poll, look up (protocol.md 5.1).

Pure: a call in, an Answer out.

    PUT  /{idScope}/registrations/{id}/register?api-version=2021-06-01
    GET  /{idScope}/registrations/{id}/operations/{operationId}?api-version=2021-06-01
    POST /{idScope}/registrations/{id}?api-version=2021-06-01
"""

import re
from collections.abc import Callable
from dataclasses import replace

from ..answers import Answer, RandomBytes, Refusal, guid
from ..faults.answers import Exchange, through
from ..faults.faults import Faults, Whom, no_faults
from ..rest import Call
from .rules import MAX_MESSAGE_BYTES, Request
from .service import ProvisioningService

_PATH = re.compile(
    r"/(?P<scope>[^/]+)/registrations/(?P<id>[^/]+)"
    r"(/(?P<what>register)|/(?P<part>operations)/(?P<operation>[^/]+))?",
    re.IGNORECASE,
)
_METHODS = {"": "POST", "register": "PUT", "operations": "GET"}
# The articles on this API send "Content-Encoding:  utf-8", which is no coding at all.
_CODINGS = ("", "utf-8", "identity")


class RegistrationApi:
    """The calls, over a provisioning service. faults: what is to go wrong with its answers."""

    def __init__(
        self, dps: ProvisioningService, random_bytes: RandomBytes, faults: Faults | None = None
    ) -> None:
        self._dps = dps
        self._random_bytes = random_bytes
        self._faults = faults or no_faults()

    def handle(self, call: Call, now_at: float) -> Answer:
        """Answer a call; a refusal is an Answer too. Each has an x-ms-request-id."""
        try:
            answer = self._route(call, now_at)
        except Refusal as refusal:
            answer = refusal.answer(now_at, self._random_bytes)
        headers = {"x-ms-request-id": guid(self._random_bytes)}
        if answer.status == 202:
            headers["Location"] = f"https://{call.headers.get('host', '')}{call.path}"
        return replace(answer, headers=answer.headers | headers)

    def _route(self, call: Call, now_at: float) -> Answer:
        match = _PATH.fullmatch(call.path)
        if match is None:
            raise Refusal(404, 404201, "Not found.", why="no such route")
        what = (match["what"] or match["part"] or "").lower()
        if call.method != _METHODS[what]:
            raise Refusal(405, 405000, "Method not allowed.")
        request = self._request(call, match["scope"], match["id"], what != "operations")
        if what == "register":
            return self._ask("register", request, lambda: self._dps.register(request, now_at))
        if what == "operations":
            id = match["operation"]
            return self._ask("poll", request, lambda: self._dps.poll(request, id, now_at), id)
        return self._ask("lookup", request, lambda: self._dps.lookup(request, now_at))

    def _ask(
        self, what: str, request: Request, ask: Callable[[], Answer], operation_id: str = ""
    ) -> Answer:
        """Ask the service, by way of the faults."""
        id = request.registration_id
        exchange = Exchange(what, Whom(id, "", "dps", "https"), id, request.body, operation_id)
        told = through(self._faults, exchange, ask)
        answer = told.answer
        if told.retry_name.lower() == "retry-after" or answer.retry_after_s is None:
            return answer
        more = {told.retry_name: str(answer.retry_after_s)}
        return replace(answer, retry_after_s=None, headers=answer.headers | more)

    def _request(self, call: Call, scope: str, id: str, has_body: bool) -> Request:
        version = call.query.get("api-version", "")
        if not version:
            raise Refusal(400, 400000, "The api-version is missing.")
        if len(call.body) > MAX_MESSAGE_BYTES:
            raise Refusal(413, 413000, "The message is larger than 96 KB.")
        if has_body and call.body.strip():
            _check_form(call)
        token = call.headers.get("authorization", "")
        # A poll's body means nothing: the Node SDK sends {}.
        body = call.body if has_body else b""
        return Request(scope, id, token, body, "https", version, call.chain)


def _check_form(call: Call) -> None:
    """Raise Refusal 415 for a body that is not JSON as it is."""
    form = call.headers.get("content-type", "").partition(";")[0].strip().lower()
    coding = call.headers.get("content-encoding", "").strip().lower()
    if form != "application/json" or coding not in _CODINGS:
        raise Refusal(415, 415000, "The body must be application/json, without a coding.")
