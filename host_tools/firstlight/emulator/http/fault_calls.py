"""The calls that set and clear faults, which Azure does not have.

Pure: a call in, an Answer out. Without a token, for only this machine can ask:

    POST   /emulator/faults          {"at": "poll", "do": "refuse", "times": 2} -> 201
    GET    /emulator/faults          every fault, with how often it matched, struck and may strike
    GET    /emulator/faults/table    the points and actions that there are
    GET    /emulator/faults/{id}
    DELETE /emulator/faults          204; all of them
    DELETE /emulator/faults/{id}     204
"""

from ..answers import Answer, Json, RandomBytes, Refusal, parse_object
from ..faults.faults import Faults
from ..faults.points import POINTS
from ..faults.specs import BadFault, parse
from ..faults.table import ACTIONS, REQUIRED, WHEN, WHOM, Field
from ..rest import Call

_PATH = "/emulator/faults"


class FaultCalls:
    """The calls, over the faults of a local Azure."""

    def __init__(self, faults: Faults, random_bytes: RandomBytes) -> None:
        self._faults = faults
        self._random_bytes = random_bytes

    def handle(self, call: Call, now_at: float) -> Answer:
        """Answer a call; a refusal is an Answer too."""
        try:
            id = call.path.removeprefix(_PATH).strip("/")
            return self._one(call.method, id) if id else self._all(call)
        except Refusal as refusal:
            return refusal.answer(now_at, self._random_bytes)

    def _all(self, call: Call) -> Answer:
        if call.method == "POST":
            return self._add(call.body)
        if call.method == "DELETE":
            self._faults.clear()
            return Answer(204, None, "every fault cleared")
        if call.method in ("GET", "HEAD"):
            return Answer(200, self._faults.all())
        raise Refusal(405, 405000, "Method not allowed: GET, POST and DELETE are.")

    def _add(self, body: bytes) -> Answer:
        try:
            document = self._faults.add(parse(parse_object(body)))
        except BadFault as bad:
            raise Refusal(400, 400000, str(bad)) from None
        headers = {"Location": f"{_PATH}/{document['id']}"}
        return Answer(201, document, f"fault {document['id']} set", headers=headers)

    def _one(self, method: str, id: str) -> Answer:
        if method not in ("GET", "HEAD", "DELETE"):
            raise Refusal(405, 405000, "Method not allowed: GET and DELETE are.")
        if id == "table" and method != "DELETE":
            return Answer(200, table())
        document = self._faults.get(id)
        if document is None:
            raise Refusal(404, 404000, f"No fault {id[:64]!r} is set.")
        if method != "DELETE":
            return Answer(200, document)
        self._faults.clear(id)
        return Answer(204, None, f"fault {id} cleared")


def table() -> Json:
    """The points, the actions and their parameters, for programs."""
    points = [
        {"name": point.name, "way": point.way, "about": point.about, "within": point.within}
        for point in POINTS.values()
    ]
    actions = [
        {
            "name": row.name,
            "points": row.points,
            "about": row.about,
            "fields": [_field(field) for field in row.fields],
        }
        for row in ACTIONS
    ]
    shared = {"whom": [_field(f) for f in WHOM], "when": [_field(f) for f in WHEN]}
    return {"points": points, "actions": actions} | shared


def _field(field: Field) -> Json:
    found: Json = {"name": field.name, "kind": field.kind, "about": field.about}
    if field.choices:
        found["choices"] = field.choices
    if field.default is REQUIRED:
        return found | {"required": True}
    return found | {"default": field.default}
