"""The service API of DPS: enrollments, groups and registration records, as its REST calls.

Pure logic: a call in, an Answer out; HTTP itself is http.py's. Routes: protocol.md 7.
"""

from collections.abc import Callable

from .. import sas
from ..answers import Answer, Json, RandomBytes, Refusal, parse_object
from ..rest import Call, check_match, page
from .records import Enrollment, Fresh, check_id, read_enrollment
from .store import Shelf, Store

POLICY = "provisioningserviceowner"
_SCOPE_MISSING = Refusal(404, 404201, "Not found.", why="no such route")


class ServiceApi:
    """The calls, over a store. names: the host names that a token may be for."""

    def __init__(
        self,
        store: Store,
        key_b64: str,
        names: Callable[[], frozenset[str]],
        random_bytes: RandomBytes,
    ) -> None:
        self._store = store
        self._key_b64 = key_b64
        self._names = names
        self._random_bytes = random_bytes
        self._shelves = {
            "enrollments": store.individuals,
            "enrollmentGroups": store.groups,
        }

    def handle(self, call: Call, now_at: float) -> Answer:
        """Answer a call; a refusal is an Answer too."""
        try:
            self._authenticate(call, now_at)
            return self._route(call, now_at)
        except Refusal as refusal:
            return refusal.answer(now_at, self._random_bytes)

    def put(self, shelf: Shelf, id: str, document: Json, now_at: float) -> Enrollment:
        """Create or replace an enrollment; raise Refusal."""
        id = check_id(id, shelf.kind.id_field)
        fresh = Fresh(now_at, self._random_bytes)
        item = read_enrollment(shelf.kind, id, document, shelf.get(id), fresh)
        shelf.put(item)
        return item

    def _authenticate(self, call: Call, now_at: float) -> None:
        try:
            token = sas.parse(call.headers.get("authorization", ""))
        except sas.BadToken as bad:
            raise _unauthorized(str(bad)) from None
        if token.resource.lower() not in self._names():
            raise _unauthorized("the token is for another host")
        if token.key_name != POLICY or not token.is_signed_by(self._key_b64):
            raise _unauthorized("wrong policy or key")
        if token.expires_at <= now_at:
            raise _unauthorized("the token has expired")
        if not call.query.get("api-version"):
            raise Refusal(400, 400000, "The api-version is missing.")

    def _route(self, call: Call, now_at: float) -> Answer:
        first, *rest = call.path.strip("/").split("/")
        if first == "registrations":
            return self._registrations(call, rest)
        shelf = self._shelves.get(first)
        if shelf is None:
            raise _SCOPE_MISSING
        if rest == ["query"] and call.method == "POST":
            items = sorted(shelf.all(), key=lambda item: item.id)
            return page(call, [(item.id, item.document()) for item in items])
        if len(rest) == 1:
            return self._enrollment(call, shelf, rest[0], now_at)
        if len(rest) == 2 and rest[1] == "attestationmechanism" and call.method == "POST":
            item = _found(shelf.get(rest[0].lower()))
            return Answer(200, item.attestation_mechanism(), f"keys of {item.id} read")
        raise _SCOPE_MISSING

    def _enrollment(self, call: Call, shelf: Shelf, id: str, now_at: float) -> Answer:
        id = check_id(id, shelf.kind.id_field)
        known = shelf.get(id)
        if call.method == "GET":
            return Answer(200, _found(known).document(), f"{id} read")
        if call.method not in ("PUT", "DELETE"):
            raise Refusal(405, 405000, "Method not allowed.")
        if call.method == "DELETE":
            _found(known)
        check_match(call.headers.get("if-match"), known.etag if known else None)
        if call.method == "PUT":
            item = self.put(shelf, id, parse_object(call.body), now_at)
            return Answer(200, item.document(), f"{id} {'replaced' if known else 'created'}")
        self._store.forget_registrations(_found(known))
        shelf.remove(id)
        return Answer(204, None, f"{id} deleted")

    def _registrations(self, call: Call, rest: list[str]) -> Answer:
        records = self._store.registrations
        if len(rest) == 2 and rest[1] == "query" and call.method == "POST":
            group = _found(self._store.groups.get(rest[0].lower()))
            members = sorted(
                (r.registration_id, r.document())
                for r in records.values()
                if r.group_id == group.id
            )
            return page(call, members)
        if len(rest) != 1:
            raise _SCOPE_MISSING
        record = records.get(rest[0].lower())
        if record is None:
            raise Refusal(404, 404201, "Not found.", why="no such registration")
        if call.method == "GET":
            return Answer(200, record.document(), f"{record.registration_id} read")
        if call.method != "DELETE":
            raise Refusal(405, 405000, "Method not allowed.")
        check_match(call.headers.get("if-match"), record.etag)
        del records[record.registration_id]
        return Answer(204, None, f"{record.registration_id} deleted")


def _unauthorized(why: str) -> Refusal:
    return Refusal(401, 401002, "Unauthorized", why=why)


def _found(item: Enrollment | None) -> Enrollment:
    if item is None:
        raise Refusal(404, 404201, "Not found.", why="no such enrollment")
    return item
