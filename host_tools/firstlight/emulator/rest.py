"""What the REST calls of DPS and of the hubs have in common: the call, etags, pages.

No I/O: HTTP itself is http's.
"""

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .answers import Answer, Json, Refusal

_MAX_PAGE = 1000


@dataclass(frozen=True)
class Call:
    """An HTTP request. path: percent-decoded; headers: names in lower case.

    chain: the certificates that the client showed, DER, the leaf first; () for none.
    """

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    chain: tuple[bytes, ...] = field(default=(), repr=False)


def check_match(if_match: str | None, etag: str | None) -> None:
    """If-Match against what is there (None: nothing); raise Refusal 412.

    Quotes may be missing, and SDKs put them around * as well.
    """
    if if_match is None:
        return
    wanted = if_match.strip().removeprefix("W/").strip('"')
    if etag is None or wanted not in (etag, "*"):
        raise Refusal(412, 409203, "Precondition failed.")


def page(call: Call, items: list[tuple[str, Any]]) -> Answer:
    """One page of a query, in order of id. The query's text is ignored, as at Azure (CS#794)."""
    after = _continuation(call.headers.get("x-ms-continuation", ""))
    size = _page_size(call.headers.get("x-ms-max-item-count"))
    left = [(id, document) for id, document in items if id > after]
    headers: dict[str, str] = {}
    if len(left) > size:
        headers["x-ms-continuation"] = base64.b64encode(left[size - 1][0].encode()).decode()
    page: list[Any] = [document for _, document in left[:size]]
    return Answer(200, page, f"{len(page)} listed", headers=headers)


def _page_size(text: str | None) -> int:
    if text is None:
        return _MAX_PAGE
    if not (text.isascii() and text.isdigit()) or len(text) > 6 or int(text) == 0:
        raise Refusal(400, 400000, "Invalid x-ms-max-item-count.")
    return min(int(text), _MAX_PAGE)


def _continuation(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode()
    except (ValueError, binascii.Error):
        raise Refusal(400, 400000, "Invalid x-ms-continuation.") from None


def page_of(
    call: Call, after: Callable[[str, int], list[str]], show: Callable[[str], Json], kind: str
) -> Answer:
    """One page of what may be long, with DPS's headers. after: up to so many ids after another.

    kind: x-ms-item-type. The query's text is ignored, as at Azure (CS#794).
    """
    start = _continuation(call.headers.get("x-ms-continuation", ""))
    size = _page_size(call.headers.get("x-ms-max-item-count"))
    ids = after(start, size + 1)
    headers = {"x-ms-item-type": kind, "x-ms-max-item-count": str(size)}
    if len(ids) > size:
        del ids[size:]
        headers["x-ms-continuation"] = base64.b64encode(ids[-1].encode()).decode()
    return Answer(200, [show(id) for id in ids], f"{len(ids)} listed", headers=headers)
