"""Finds a secret in whatever a run leaves behind, in every form that programs give to bytes.

A part of a secret counts: 16 characters of a form, or 8 raw bytes, wherever they begin to be cut.
"""

import json
import re
import zlib
from base64 import b64decode, b64encode
from binascii import Error as NotBase64
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

_PART, _RAW_PART = 16, 8
_LARGEST = 1 << 30  # bytes of a file
_DEFLATED = re.compile(rb"\x78[\x01\x5e\x9c\xda]")
_INFLATED_MOST = 1 << 24


def find_secrets(
    place: Path | bytes, secrets: Mapping[str, str], skip: Collection[Path] = ()
) -> list[str]:
    """Return where secrets are, one line each: "FILE: NAME as FORM".

    place: a file, a folder with all below it, or bytes. secrets: name to text; what is base64 is
    looked for decoded, too. skip: files and folders that are meant to hold them.
    """
    forms = {name: list(_forms(text)) for name, text in secrets.items()}
    found: list[str] = []
    for where, content in _contents(place, set(skip)):
        for name, theirs in forms.items():
            found += [f"{where}: {name} as {form}" for form in _found(content, theirs)]
    return found


def _found(content: bytes, forms: list[tuple[str, list[bytes]]]) -> Iterator[str]:
    for form, parts in forms:
        if any(part in content for part in parts):
            yield form


def _contents(place: Path | bytes, skip: set[Path]) -> Iterator[tuple[str, bytes]]:
    if isinstance(place, bytes):
        yield from _layers("bytes", place)
        return
    for path in sorted(_files(place, skip)):
        yield "a file's name", str(path.relative_to(place)).encode()
        assert path.stat().st_size <= _LARGEST, path
        yield from _layers(str(path), path.read_bytes())


def _files(place: Path, skip: set[Path]) -> Iterator[Path]:
    if place in skip or place.is_symlink():
        return
    if place.is_dir():
        for each in place.iterdir():
            yield from _files(each, skip)
    elif place.is_file():  # no socket and no pipe, which hold nothing
        yield place


def _layers(where: str, content: bytes) -> Iterator[tuple[str, bytes]]:
    """The content, and what is deflated in it, as in PDF and PNG."""
    yield where, content
    view = memoryview(content)
    for start in _DEFLATED.finditer(content):
        with suppress(zlib.error):
            inflated = zlib.decompressobj().decompress(view[start.start() :], _INFLATED_MOST)
            yield f"{where}, inflated", inflated


def _forms(text: str) -> Iterator[tuple[str, list[bytes]]]:
    """Each form's name and the parts of it that give it away."""
    for name, form in _texts(text):
        yield name, _parts(form.encode(), _PART)
        yield f"{name}, UTF-16", _parts(form.encode("utf-16-le"), 2 * _PART)
    raw = _raw(text)
    if raw:
        yield "raw bytes", _parts(raw, _RAW_PART)


def _texts(text: str) -> Iterator[tuple[str, str]]:
    escaped = quote(text, safe="")
    yield "text", text
    yield "URL text", escaped
    yield "URL text, lower case", re.sub("%..", lambda found: found[0].lower(), escaped)
    yield "JSON", json.dumps(text)[1:-1].replace("/", "\\/")
    for name, data in (("text", text.encode()), ("bytes", _raw(text))):
        if len(data) >= _RAW_PART:
            yield f"hex of its {name}", data.hex()
            yield f"HEX of its {name}", data.hex().upper()
            yield f"repr of its {name}", repr(data)[2:-1]
            yield f"numbers of its {name}", ", ".join(map(str, data))
            yield from _base64s(name, data)


def _base64s(name: str, data: bytes) -> Iterator[tuple[str, str]]:
    """Base64 of data behind 0, 1 or 2 other bytes, without what those have a part in."""
    for before in range(3):
        form = b64encode(bytes(before) + data).decode()[(0, 2, 3)[before] :].rstrip("=")[:-1]
        yield f"base64 of its {name}", form
        yield f"base64url of its {name}", form.replace("+", "-").replace("/", "_")


def _raw(text: str) -> bytes:
    try:
        return b64decode(text, validate=True)
    except (NotBase64, ValueError):
        return b""


def _parts(form: bytes, size: int) -> list[bytes]:
    """Pieces of which a leak holds one, unless it is shorter than two of them."""
    if len(form) <= size:
        return [form]
    return [form[start : start + size] for start in range(0, len(form) - size + 1, size)]
