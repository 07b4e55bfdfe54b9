"""Device twins: tags, desired and reported properties, merged, versioned and measured.

Pure values: no I/O, no clock (times are arguments, Unix seconds), and no document that comes out,
but for `view`, shares a part with what is kept. A patch that is refused changes nothing.

    {"a": {"b": 1}, "c": null}     sets a.b, leaves what else is in a, and removes c

Facts: azure/iot-hub/iot-hub-devguide-device-twins (format, size, metadata, optimistic
concurrency); protocol.md 6.5.
"""

import base64
import copy
import math
import re
from dataclasses import dataclass, field
from typing import Any

from ..answers import Json, Refusal, timestamp

MAX_TAGS = 8 * 1024
MAX_PROPERTIES = 32 * 1024
_MAX_DEPTH = 10
_MAX_KEY_BYTES = 1024
_MAX_TEXT_BYTES = 4 * 1024
_INTEGERS = range(-4503599627370496, 4503599627370496)
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f]")
_BAD_IN_KEY = re.compile("[\x00-\x1f\x7f-\x9f .$]")
# What the service adds to a section, and what comes back in a whole twin that a client edited.
_OWN_KEYS = ("$version", "$metadata")


@dataclass
class Section:
    """Desired or reported properties, with a date (and a version) for every part of them."""

    values: Json = field(default_factory=dict)
    metadata: Json = field(default_factory=dict)
    version: int = 1

    def view(self) -> Json:
        """As the service shows it; shares its parts with the section."""
        return self.values | {"$metadata": self.metadata, "$version": self.version}

    def shown_to_device(self) -> Json:
        """As its device gets it: no metadata."""
        return copy.deepcopy(self.values) | {"$version": self.version}


class Twin:
    """One device's twin. version counts every change; the etag those that the service made."""

    def __init__(self, now_at: float) -> None:
        stamp = {"$lastUpdated": timestamp(now_at)}
        self.tags: Json = {}
        self.desired = Section(metadata=dict(stamp))
        self.reported = Section(metadata=dict(stamp))
        self.version = 2
        self.changes = 1

    @property
    def etag(self) -> str:
        """Such as AAAAAAAAAAE=, without quotes."""
        return base64.b64encode(self.changes.to_bytes(8, "big")).decode()

    def patch(self, tags: Json | None, desired: Json | None, now_at: float) -> Json | None:
        """Merge what the service sent; None: a section that it did not send. Raise Refusal.

        Returns what a connected device is told: the desired patch and its $version, or None.
        """
        new_tags, new_desired = None, None
        if tags is not None:
            new_tags = _patched_tags(self.tags, tags)
        if desired is not None:
            desired = _without_own(desired)
            new_desired = _patched(self.desired, desired, now_at, "desired")
        self._keep(new_tags, new_desired)
        return None if desired is None else desired | {"$version": self.desired.version}

    def replace(self, tags: Json, desired: Json, now_at: float) -> Json:
        """Put both sections in the place of the old; raise Refusal. Returns what a device is told.

        A section that is empty empties the old one.
        """
        desired = _without_own(desired)
        empty = Section(version=self.desired.version)
        new_desired = _patched(empty, desired, now_at, "desired")
        self._keep(_patched_tags({}, tags), new_desired)
        return self.desired.shown_to_device()

    def patch_reported(self, patch: Json, now_at: float) -> int:
        """Merge what the device reported; return the new $version. Raise Refusal 400 or 413."""
        self.reported = _patched(self.reported, patch, now_at, "reported")
        self.version += 1
        return self.reported.version

    def device_document(self) -> Json:
        """The body of the answer to `$iothub/twin/GET/` (protocol.md 6.5)."""
        return {
            "desired": self.desired.shown_to_device(),
            "reported": self.reported.shown_to_device(),
        }

    def sections(self) -> Json:
        """The parts of the service's twin document that are the twin's own."""
        return copy.deepcopy(self.view())

    def view(self) -> Json:
        """The same to be looked at only, not to be kept or changed: it shares the twin's parts."""
        return {
            "version": self.version,
            "tags": self.tags,
            "properties": {"desired": self.desired.view(), "reported": self.reported.view()},
        }

    def record(self) -> Json:
        """All of it, for a journal or for another hub; read back by `restored`."""
        return self.sections() | {"changes": self.changes}

    def _keep(self, tags: Json | None, desired: Section | None) -> None:
        if tags is not None:
            self.tags = tags
        if desired is not None:
            self.desired = desired
        self.version += 1
        self.changes += 1


def restored(record: Json) -> Twin:
    """The twin that `record` wrote."""
    twin = Twin(0)
    record = copy.deepcopy(record)
    twin.tags = record["tags"]
    twin.desired = _section(record["properties"]["desired"])
    twin.reported = _section(record["properties"]["reported"])
    twin.version, twin.changes = record["version"], record["changes"]
    return twin


def _section(shown: Json) -> Section:
    metadata, version = shown.pop("$metadata"), shown.pop("$version")
    return Section(shown, metadata, version)


def _without_own(document: Json) -> Json:
    # A client that edits a whole twin and sends it back sends these too.
    return {key: value for key, value in document.items() if key not in _OWN_KEYS}


def _patched(section: Section, patch: Json, now_at: float, name: str) -> Section:
    _check(patch, name, 1)
    stamp: Json = {"$lastUpdated": timestamp(now_at)}
    version = section.version + 1
    if name == "desired":
        stamp["$lastUpdatedVersion"] = version
    values, metadata = copy.deepcopy(section.values), copy.deepcopy(section.metadata)
    _merge(values, metadata, patch, stamp)
    _check_size(values, name, MAX_PROPERTIES)
    return Section(values, metadata, version)


def _patched_tags(old: Json, patch: Json) -> Json:
    _check(patch, "tags", 1)
    values = copy.deepcopy(old)
    _merge(values, {}, patch, {})
    _check_size(values, "tags", MAX_TAGS)
    return values


def _merge(values: Json, metadata: Json, patch: Json, stamp: Json) -> None:
    metadata |= stamp
    for key, value in patch.items():
        if value is None:
            values.pop(key, None)
            metadata.pop(key, None)
        elif isinstance(value, dict):
            if not isinstance(values.get(key), dict):
                values[key], metadata[key] = {}, {}
            _merge(values[key], metadata.setdefault(key, {}), value, stamp)
        else:
            values[key] = copy.deepcopy(value)
            metadata[key] = dict(stamp)


def _check(value: Any, name: str, depth: int) -> None:
    """Raise Refusal for what a twin cannot hold, naming where it is."""
    if isinstance(value, dict | list):
        # The section itself is no level of its own: "ten" may hold a property in it.
        if depth > _MAX_DEPTH + 1:
            raise _invalid(name, f"is deeper than {_MAX_DEPTH} levels")
        _check_inside(value, name, depth + 1)
    elif isinstance(value, str):
        if len(value.encode("utf-8", "surrogatepass")) > _MAX_TEXT_BYTES:
            raise _invalid(name, "is a text of more than 4 KB")
        if re.search("[\ud800-\udfff]", value):
            raise _invalid(name, "is not text (a lone surrogate)")
    elif isinstance(value, int) and not isinstance(value, bool) and value not in _INTEGERS:
        raise _invalid(name, "is an integer beyond 52 bits")
    elif isinstance(value, float) and not math.isfinite(value):
        raise _invalid(name, "is not a number that JSON can write")


def _check_inside(value: Json | list[Any], name: str, depth: int) -> None:
    if isinstance(value, list):
        for item in value:
            _check(item, name, depth)
        return
    for key, item in value.items():
        if _BAD_IN_KEY.search(key) or re.search("[\ud800-\udfff]", key):
            raise _invalid(name, "has a key with a control character, a space, '.' or '$'")
        if not key or len(key.encode()) > _MAX_KEY_BYTES:
            raise _invalid(name, "has a key that is empty or of more than 1 KB")
        _check(item, f"{name}.{key[:64]}", depth)


def _check_size(values: Json, name: str, limit: int) -> None:
    size = size_of(values)
    if size > limit:
        raise Refusal(413, 413001, f"The {name} of a twin hold at most {limit} bytes, not {size}.")


def size_of(value: Any) -> int:
    """The size that Azure counts: texts without control characters, 8 a number, 4 a bool."""
    if isinstance(value, dict):
        return sum(size_of(key) + size_of(item) for key, item in value.items())
    if isinstance(value, list):
        return sum(size_of(item) for item in value)
    if isinstance(value, str):
        return len(_CONTROLS.sub("", value).encode())
    if isinstance(value, bool):
        return 4
    return 0 if value is None else 8


def _invalid(name: str, why: str) -> Refusal:
    return Refusal(400, 400004, f"Invalid twin: {name} {why}.")
