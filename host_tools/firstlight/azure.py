"""The DPS service REST API, as much as enrolling needs: at Azure, or at the local one.

Changes only what it read: a change carries the etag of what was found, so that nobody else's is
lost. Keys come from key_pair() alone (azure/iot-dps, service.json 2021-10-01; protocol.md 7). The
policy by which DPS issues certificates is known to a newer version alone, which is a preview: one
enrollment is asked for, and written with it, under that one, where the service has it.
"""

import re
import secrets
from base64 import b64encode
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal
from urllib.parse import quote

from . import keys
from .azurecalls import Calls, Connection, Json, list_of, object_of, parse_connection, plain
from .errors import ServiceError, UsageError

__all__ = ["Connection", "Service", "parse_connection"]

API_VERSION = "2021-10-01"
PREVIEW = "2025-07-01-preview"
POLICY = "credentialPolicyName"  # the one field that only the preview has
MOST_AT_ONCE = 10  # enrollments in a bulk call (protocol.md 7)
Kind = Literal["enrollments", "enrollmentGroups"]
_ID: dict[Kind, str] = {"enrollments": "registrationId", "enrollmentGroups": "enrollmentGroupId"}
_ETAG = re.compile('"?([!#-~]{1,256}?)"?')
_PAGE = 100
_MOST_PAGES = 10_000  # a million enrollments, DPS's quota


class NoKeys(ServiceError):
    """What was asked for its keys has none: it is enrolled with a certificate or a TPM."""


class Service:
    """A DPS instance's enrollments. root_pem: trusted instead of certifi's roots, for a local one.

    Raises ServiceError for a refusal, with status, code and tracking id, and for no answer.
    """

    def __init__(self, connection: Connection, root_pem: Path | None = None) -> None:
        self._calls = Calls(connection, root_pem, API_VERSION)
        self._newest = PREVIEW  # until the service says that it does not have it

    def find(self, kind: Kind, name: str) -> Json | None:
        """Return an enrollment without its keys; None if there is none of that name."""
        path, field = _path(kind, name), _ID[kind]
        try:
            return self._found(path, field, name, self._newest)
        except ServiceError as error:
            if error.status != 400 or self._newest == API_VERSION:
                raise
        found = self._found(path, field, name)
        self._newest = API_VERSION
        return found

    def create(self, kind: Kind, name: str, document: Json) -> Json:
        """Create an enrollment; raise UsageError if there is one: nothing is written over."""
        if self.find(kind, name) is not None:
            raise UsageError(f"{name} is enrolled already; it was left as it is")
        version = PREVIEW if POLICY in document else API_VERSION
        return self._object("PUT", _path(kind, name), document, version)

    def replace(self, kind: Kind, name: str, document: Json) -> Json:
        """Replace an enrollment by a document that find() gave, changed; its keys stay.

        Raise ServiceError if somebody changed it since.
        """
        given = document.get("attestation")
        if not isinstance(given, dict):
            raise ServiceError(
                f"the service does not say how {name} attests: it was left as it is"
            )
        attestation = dict(given)
        if attestation.get("type") == "symmetricKey":  # what is shown has no keys
            pair = self.key_pair(kind, name)
            attestation["symmetricKey"] = dict(
                zip(("primaryKey", "secondaryKey"), pair, strict=True)
            )
        wanted = document | {"attestation": attestation}
        version = PREVIEW if POLICY in document else API_VERSION
        return changed(self._calls, "PUT", _path(kind, name), name, document, wanted, version)

    def delete(self, kind: Kind, name: str, found: Json) -> None:
        """Delete an enrollment as find() gave it; raise ServiceError if it was changed since."""
        self._changed("DELETE", _path(kind, name), name, found)

    def bulk(self, mode: str, documents: Sequence[Json]) -> dict[str, tuple[int, str]]:
        """Do something to at most 10 individual enrollments: "create", "update" or "delete".

        Return what was refused: registration id to the service's code and words.
        """
        body = {"mode": mode, "enrollments": list(documents)}
        answer = self._object("POST", "enrollments", body)
        return _refused(answer, [str(one["registrationId"]) for one in documents])

    def each(self, kind: Kind) -> Iterator[Json]:
        """Every enrollment of a kind, without keys, asked for page by page."""
        for found in self._pages(f"{kind}/query"):
            attestation = found.get("attestation")
            if isinstance(attestation, dict):
                attestation.pop("symmetricKey", None)
            yield found

    def members(self, group: str) -> Iterator[Json]:
        """Every registration record of a group's devices, page by page."""
        return self._pages(f"registrations/{quote(group, safe='')}/query")

    def registration(self, registration_id: str) -> Json | None:
        """A device's registration record: its hub, its state; None if it never registered."""
        path = f"registrations/{quote(registration_id, safe='')}"
        return self._found(path, "registrationId", registration_id)

    def forget(self, registration_id: str, found: Json) -> None:
        """Delete a registration record as registration() gave it, if it is there still."""
        path = f"registrations/{quote(registration_id, safe='')}"
        try:
            self._changed("DELETE", path, registration_id, found)
        except ServiceError as error:
            if error.status != 404:
                raise

    def key_pair(self, kind: Kind, name: str) -> tuple[str, str]:
        """Return an enrollment's keys, (primary, secondary); only this route gives them."""
        answer = self._object("POST", _path(kind, name) + "/attestationmechanism")
        pair = answer.get("symmetricKey")
        if not isinstance(pair, dict):
            raise NoKeys(f"{name} is not enrolled with symmetric keys{_instead(answer)}")
        names = ("primaryKey", "secondaryKey")
        try:
            first, second = (keys.checked(pair.get(n, ""), f"the service's {n}") for n in names)
        except UsageError as error:
            raise ServiceError(f"the keys of {name}: {error}") from None
        return first, second

    def _found(self, path: str, field: str, name: str, version: str = API_VERSION) -> Json | None:
        """What is there under a name, which it must have itself: it may be written back."""
        try:
            found = self._object("GET", path, None, version)
        except ServiceError as error:
            if error.status == 404:
                return None
            raise
        if str(found.get(field)).lower() != name.lower():
            raise ServiceError(f"GET {path}: the answer is not about {name}")
        return found

    def _object(
        self, method: str, path: str, body: Json | None = None, version: str = API_VERSION
    ) -> Json:
        reply = self._calls.ask(method, path, body, version=version)
        return object_of(reply, f"{method} {path}")

    def _changed(self, method: str, path: str, name: str, found: Json) -> Json:
        """One change under the etag of what was found."""
        return changed(self._calls, method, path, name, found)

    def _pages(self, path: str) -> Iterator[Json]:
        headers = {"x-ms-max-item-count": str(_PAGE)}
        for _ in range(_MOST_PAGES):
            reply = self._calls.ask("POST", path, {"query": "SELECT * FROM enrollments"}, headers)
            yield from list_of(reply, f"POST {path}")
            headers["x-ms-continuation"] = reply.headers.get("x-ms-continuation", "")
            if not headers["x-ms-continuation"]:
                return
        raise ServiceError(f"POST {path}: the pages do not end")


def individual(registration_id: str, primary_b64: str, wishes: Json) -> Json:
    """The enrollment of one device. primary_b64: its key; "": the service makes both.

    The second key, which DPS wants beside a given one, is then random, and nobody's.
    """
    attestation = symmetric(primary_b64)
    return {"registrationId": registration_id, "attestation": attestation, **wishes}


def symmetric(primary_b64: str) -> Json:
    """The attestation by keys, as individual() has it."""
    attestation: Json = {"type": "symmetricKey"}
    if primary_b64:
        second = b64encode(secrets.token_bytes(32)).decode()
        attestation["symmetricKey"] = {"primaryKey": primary_b64, "secondaryKey": second}
    return attestation


def changed(
    calls: Calls,
    method: str,
    path: str,
    name: str,
    found: Json,
    body: Json | None = None,
    version: str = "",
) -> Json:
    """Change what was found, under its etag; raise ServiceError that says if somebody else did.

    name: of what is changed, for the error.
    """
    etag = _ETAG.fullmatch(str(found.get("etag") or ""))
    if etag is None:
        raise ServiceError(f"{name} came without an etag to change it by; it was left as it is")
    try:
        reply = calls.ask(method, path, body, {"If-Match": f'"{etag[1]}"'}, version)
    except ServiceError as error:
        if error.status != 412:
            raise
        raise ServiceError(
            f"{name} was changed by somebody else in the meantime, so it was left as it is; "
            "look at it, and repeat",
            412,
        ) from None
    return object_of(reply, f"{method} {path}")


def _instead(answer: Json) -> str:
    """What it is enrolled with, if the service says so."""
    kind = {"x509": "an X.509 certificate", "tpm": "a TPM"}.get(str(answer.get("type")))
    return f", but with {kind}, whose private key nobody has but the device" if kind else ""


def _path(kind: Kind, name: str) -> str:
    return f"{kind}/{quote(name, safe='')}"


def _refused(answer: Json, asked: Sequence[str]) -> dict[str, tuple[int, str]]:
    """What a bulk operation's answer says was not done; raise ServiceError if it does not say."""
    done, errors = answer.get("isSuccessful"), answer.get("errors") or []
    if not isinstance(done, bool) or not isinstance(errors, list):
        raise ServiceError("POST enrollments: the answer is not a bulk operation's")
    refused = {}
    for error in errors:
        if not isinstance(error, dict) or error.get("registrationId") not in asked:
            raise ServiceError("POST enrollments: the answer names what was not asked for")
        code = error.get("errorCode")
        words = plain(error.get("errorStatus") or "refused")
        refused[error["registrationId"]] = (code if type(code) is int else 0, words)
    if not done and not refused:
        raise ServiceError("POST enrollments: it failed, and the service does not say for which")
    return refused
