"""The service API of DPS: enrollments, groups and registration records, as its REST calls.

Pure logic: a call in, an Answer out; HTTP itself is http/'s. Routes: protocol.md 7. Every call is
metered, and needs a token of a policy that has the right for it.
"""

from collections.abc import Callable
from dataclasses import replace

from ..answers import Answer, Json, RandomBytes, Refusal, guid, parse_object
from ..policies import (
    DPS_POLICIES,
    ENROLLMENT_READ,
    ENROLLMENT_WRITE,
    REGISTRATION_READ,
    REGISTRATION_WRITE,
    Policies,
)
from ..rest import Call, check_match, page_of
from . import bulk
from .metering import Window
from .reading import Fresh, check_id, read_enrollment
from .records import Enrollment, IndividualEnrollment
from .rules import Rules
from .store import Ids, Shelf, Store
from .vetting import check_certificates

POLICY = next(iter(DPS_POLICIES))


class ServiceApi:
    """The calls, over a store. names: the host names that a token may be for."""

    def __init__(
        self,
        rules: Rules,
        store: Store,
        policies: Policies,
        names: Callable[[], frozenset[str]],
        random_bytes: RandomBytes,
    ) -> None:
        self._rules = rules
        self._store = store
        self._policies = policies
        self._names = names
        self._random_bytes = random_bytes
        self._operations = Window(rules.operations_per_minute, 60.0)
        # The Node SDK asks for /enrollmentgroups/.../attestationmechanism, in lower case.
        self._shelves = {
            "enrollments": (store.individuals, "enrollment"),
            "enrollmentgroups": (store.groups, "enrollmentGroup"),
        }

    def handle(self, call: Call, now_at: float) -> Answer:
        """Answer a call; a refusal is an Answer too. Each has an x-ms-request-id."""
        try:
            answer = self._route(call, now_at)
        except Refusal as refusal:
            answer = refusal.answer(now_at, self._random_bytes)
        more = {"x-ms-request-id": guid(self._random_bytes)}
        return replace(answer, headers=answer.headers | more)

    def put(self, shelf: Shelf, id: str, document: Json, now_at: float) -> Enrollment:
        """Create or replace an enrollment; raise Refusal."""
        id = check_id(id, shelf.kind.id_field)
        fresh = Fresh(now_at, self._random_bytes)
        item = read_enrollment(shelf.kind, id, document, shelf.get(id), fresh)
        check_certificates(self._rules, self._store, item)
        shelf.put(item)
        return item

    def remove(self, shelf: Shelf, item: Enrollment) -> None:
        """Delete an enrollment and its registration records; its devices stay in their hubs."""
        self._store.forget_registrations(item)
        shelf.remove(item.id)

    def _route(self, call: Call, now_at: float) -> Answer:
        first, *rest = call.path.strip("/").split("/")
        # A bulk operation is the one POST that changes anything.
        is_read = call.method == "GET" or (call.method == "POST" and bool(rest))
        if first.lower() == "registrations":
            self._authorize(call, REGISTRATION_READ if is_read else REGISTRATION_WRITE, now_at)
            return self._registrations(call, rest)
        self._authorize(call, ENROLLMENT_READ if is_read else ENROLLMENT_WRITE, now_at)
        found = self._shelves.get(first.lower())
        if found is None:
            raise _no_route()
        return self._enrollments(call, *found, rest, now_at)

    def _authorize(self, call: Call, right: str, now_at: float) -> None:
        authorization = call.headers.get("authorization", "")
        self._policies.authorize(authorization, self._names(), right, now_at, call.path)
        if not call.query.get("api-version"):
            raise Refusal(400, 400000, "The api-version is missing.")
        self._operations.admit(now_at)

    def _enrollments(
        self, call: Call, shelf: Shelf, item_type: str, rest: list[str], now_at: float
    ) -> Answer:
        if call.method == "POST":
            return self._post(call, shelf, item_type, rest, now_at)
        if len(rest) != 1:
            raise _no_route()
        id = check_id(rest[0], shelf.kind.id_field)
        if call.method == "GET":
            return Answer(200, self._shown(_found(shelf.get(id))), f"{id} read")
        if call.method == "DELETE":
            item = _found(shelf.get(id))
            check_match(call.headers.get("if-match"), item.etag)
            self.remove(shelf, item)
            return Answer(204, None, f"{id} deleted")
        if call.method == "PUT":
            return self._put(call, shelf, id, now_at)
        raise _not_allowed()

    def _put(self, call: Call, shelf: Shelf, id: str, now_at: float) -> Answer:
        known, wanted = shelf.get(id), call.headers.get("if-match")
        check_match(wanted, known.etag if known else None)
        if known is not None and wanted is None and not self._rules.put_over:
            raise Refusal(
                409, 409000, "It exists already; to replace it, send its etag (If-Match)."
            )
        item = self.put(shelf, id, parse_object(call.body), now_at)
        return Answer(200, self._shown(item), f"{id} {'replaced' if known else 'created'}")

    def _post(
        self, call: Call, shelf: Shelf, item_type: str, rest: list[str], now_at: float
    ) -> Answer:
        what = [part.lower() for part in rest]
        if not what:
            return bulk.run(
                shelf,
                call.body,
                lambda shelf, id, item: self.put(shelf, id, item, now_at),
                self.remove,
            )
        if what == ["query"]:
            _check_query(call)
            return page_of(call, shelf.ids.after, lambda id: _listed(shelf, id), item_type)
        if len(what) == 2 and what[1] == "attestationmechanism":
            item = _found(shelf.get(what[0]))
            return Answer(200, item.attestation_mechanism(), f"keys of {item.id} read")
        if len(what) == 1:
            raise _not_allowed()
        raise _no_route()

    def _shown(self, item: Enrollment) -> Json:
        """As GET shows it: an individual one with its device's registration, if there is one."""
        document = item.document()
        if isinstance(item, IndividualEnrollment):
            record = self._store.own_registration(item.id)
            if record is not None:
                document["registrationState"] = record.state()
        return document

    def _registrations(self, call: Call, rest: list[str]) -> Answer:
        if len(rest) == 2 and rest[1].lower() == "query" and call.method == "POST":
            _check_query(call)
            group = _found(self._store.groups.get(rest[0].lower()))
            members = self._store.members.get(group.id) or Ids()
            return page_of(call, members.after, self._state, "deviceRegistration")
        if len(rest) != 1:
            raise _no_route()
        record = self._store.registration(rest[0].lower())
        if record is None:
            raise Refusal(404, 404201, "Not found.", why="no such registration")
        if call.method == "GET":
            return Answer(200, record.state(), f"{record.registration_id} read")
        if call.method != "DELETE":
            raise _not_allowed()
        check_match(call.headers.get("if-match"), record.etag)
        self._store.remove_registration(record.registration_id)
        return Answer(204, None, f"{record.registration_id} deleted")

    def _state(self, id: str) -> Json:
        record = self._store.registration(id)
        return record.state() if record else {"registrationId": id, "status": "unassigned"}


def _listed(shelf: Shelf, id: str) -> Json:
    return _found(shelf.get(id)).document()


def _check_query(call: Call) -> None:
    """Raise Refusal 400 for a query that is not one; its text is ignored, as at Azure."""
    query = parse_object(call.body).get("query")
    if query is not None and not isinstance(query, str):
        raise Refusal(400, 400000, "Invalid query.")


def _no_route() -> Refusal:
    return Refusal(404, 404201, "Not found.", why="no such route")


def _not_allowed() -> Refusal:
    return Refusal(405, 405000, "Method not allowed.")


def _found(item: Enrollment | None) -> Enrollment:
    if item is None:
        raise Refusal(404, 404201, "Not found.", why="no such enrollment")
    return item
