"""Up to ten enrollments in one call of the service API, each with its own outcome.

No I/O. An enrollment that is refused is named in the answer and changes nothing; the others are
done. Shapes: BulkEnrollmentOperation and its group's twin in service.json (protocol.md 7):

    {"mode": "create", "enrollments": [{"registrationId": "a", ...}]}
    {"isSuccessful": false, "errors": [{"registrationId": "a", "errorCode": 409000, ...}]}
"""

from collections.abc import Callable
from typing import Any

from ..answers import Answer, Json, Refusal, parse_object
from ..rest import check_match
from .reading import check_id
from .records import Enrollment, IndividualEnrollment
from .store import Shelf

_MAX_ITEMS = 10
_MODES = ("create", "update", "updateifmatchetag", "delete")
Put = Callable[[Shelf, str, Json], Enrollment]
Remove = Callable[[Shelf, Enrollment], None]


def run(shelf: Shelf, body: bytes, put: Put, remove: Remove) -> Answer:
    """Do it; raise Refusal 400 if the call itself makes no sense. put, remove: for one item."""
    document = parse_object(body)
    name = "enrollments" if shelf.kind is IndividualEnrollment else "enrollmentGroups"
    mode, items = document.get("mode"), document.get(name)
    # The Node SDK's own types spell the third mode updateIfMatchEtag.
    if not isinstance(mode, str) or mode.lower() not in _MODES:
        raise Refusal(400, 400000, "Invalid mode.")
    if not isinstance(items, list) or not 1 <= len(items) <= _MAX_ITEMS:
        raise Refusal(400, 400000, f"Invalid {name}: must be a list of 1 to {_MAX_ITEMS}.")
    if not all(isinstance(item, dict) for item in items):
        raise Refusal(400, 400000, f"Invalid {name}: must be objects.")
    errors = []
    for item in items:
        try:
            _one(shelf, mode.lower(), item, put, remove)
        except Refusal as refusal:
            errors.append(_error(shelf, item, refusal))
    note = f"{mode}: {len(items) - len(errors)} of {len(items)} {name}"
    return Answer(200, {"isSuccessful": not errors, "errors": errors}, note)


def _one(shelf: Shelf, mode: str, item: Json, put: Put, remove: Remove) -> None:
    id = check_id(item.get(shelf.kind.id_field), shelf.kind.id_field)
    known = shelf.get(id)
    if mode == "create":
        if known is not None:
            raise Refusal(409, 409000, "It exists already.")
    elif known is None:
        raise Refusal(404, 404201, "Not found.")
    elif mode == "updateifmatchetag":
        tag = item.get("etag")
        check_match(tag if isinstance(tag, str) else "", known.etag)
    if mode == "delete" and known is not None:
        remove(shelf, known)
    else:
        put(shelf, id, item)


def _error(shelf: Shelf, item: Json, refusal: Refusal) -> Json:
    id: Any = item.get(shelf.kind.id_field)
    return {
        shelf.kind.id_field: id if isinstance(id, str) else "",
        "errorCode": refusal.code,
        "errorStatus": str(refusal),
    }
