"""Settings by name, as text: `retry_after_s=0`, `hub_rules.connacks.unknown=4`.

Pure. A value takes the type that the setting has; what is not a setting is refused by name.
"""

import json
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

from ..errors import UsageError
from .settings import Settings


def wished(settings: Settings, texts: tuple[str, ...]) -> Settings:
    """Settings with each NAME=VALUE; raise UsageError for one that cannot be."""
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"{text!r} is not NAME=VALUE, as retry_after_s=0")
        settings = _with(settings, name.strip().split("."), value.strip(), name)
    return settings


def listed(settings: Any, prefix: str = "") -> Iterator[str]:
    """Every name and its value now, as `wished` takes them."""
    for one in fields(settings):
        value = getattr(settings, one.name)
        if is_dataclass(value):
            yield from listed(value, f"{prefix}{one.name}.")
        elif _kinds(type(settings), one.name) is not None:
            yield f"{prefix}{one.name}={_text(value)}"


def _with(inside: Any, path: list[str], value: str, name: str) -> Any:
    first, *rest = path
    if first not in {one.name for one in fields(inside)}:
        raise UsageError(f"there is no setting {name!r}; firstlight emulate --settings lists them")
    held = getattr(inside, first)
    if is_dataclass(held) and rest:
        return replace(inside, **{first: _with(held, rest, value, name)})
    kinds = _kinds(type(inside), first)
    if rest or is_dataclass(held) or kinds is None:
        raise UsageError(f"the setting {name!r} cannot be set so")
    return replace(inside, **{first: _value(value, kinds, name)})


def _kinds(owner: type, name: str) -> tuple[Any, ...] | None:
    """The types that a setting may have; None if text cannot say it."""
    hint = get_type_hints(owner)[name]
    kinds = get_args(hint) if get_origin(hint) is UnionType else (hint,)
    kinds = tuple(get_origin(kind) or kind for kind in kinds)
    taken = (bool, int, float, str, Path, NoneType)
    return kinds if all(kind in taken or _is_table(kind) for kind in kinds) else None


def _is_table(kind: Any) -> bool:
    return getattr(kind, "__name__", "") == "Mapping"


def _value(text: str, kinds: tuple[Any, ...], name: str) -> Any:
    if NoneType in kinds and text.lower() in ("none", "off"):
        return None
    if bool in kinds:
        choices = {
            "true": True,
            "yes": True,
            "on": True,
            "false": False,
            "no": False,
            "off": False,
        }
        if text.lower() not in choices:
            raise UsageError(f"{name} is true or false, not {text[:40]!r}")
        return choices[text.lower()]
    try:
        for kind in kinds:
            if kind in (int, float):
                return kind(text)
            if _is_table(kind):
                return _table(text)
    except ValueError:
        raise UsageError(f"{name} cannot be {text[:40]!r}") from None
    return Path(text) if Path in kinds else text


def _table(text: str) -> dict[str, Any]:
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError
    return found


def _text(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return str(value).lower()
    return json.dumps(value) if isinstance(value, dict) else str(value)
