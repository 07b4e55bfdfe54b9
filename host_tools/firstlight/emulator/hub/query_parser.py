"""IoT Hub's query language, from text: what query.py does not know is refused here, by its place.

Pure; nothing is evaluated but what is parsed here: no eval, and bounded length and depth. A text
that is no query raises Refusal 400 and no other exception.

    SELECT * | path [AS name], count() [AS name], avg(path) ...    also TOP n
    FROM devices
    [WHERE path = 'text' AND (tags.floor >= 2 OR NOT status IN ['enabled']) ...]
    [GROUP BY path]

Grammar: azure/iot-hub/iot-hub-devguide-query-language. Not served: arithmetic, functions other
than is_defined(), and the collections devices.modules and devices.jobs.
"""

import re
from collections.abc import Iterator
from typing import Any, NoReturn

from .query import (
    COMPARISONS,
    NOWHERE,
    Column,
    Path,
    Query,
    Value,
    all_of,
    among,
    any_of,
    bad_query,
    compared,
    look,
)

_MAX_CHARS = 8 * 1024
_MAX_DEPTH = 32
_TOKEN = re.compile(
    r"""\s*(?:
      (?P<number>-?(?:0[xX][0-9a-fA-F]{1,13}|\d{1,32}(?:\.\d{1,32})?(?:[eE][+-]?\d{1,2})?)(?![\w.]))
    | (?P<text>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")
    | (?P<name>[A-Za-z_$][\w$]*)
    | \[\[(?P<quoted>[^\]]{1,1024})\]\]
    | (?P<mark><=|>=|!=|<>|[=<>(),.*\[\]])
    )""",
    re.VERBOSE,
)
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_AGGREGATES = ("count", "avg", "sum", "min", "max")
_KEYWORDS = (
    "select",
    "from",
    "where",
    "group",
    "by",
    "as",
    "and",
    "or",
    "not",
    "in",
    "nin",
    "top",
)
_RESERVED = frozenset((*_KEYWORDS, "is_defined"))


def parse(text: Any) -> Query:
    """The query that a text says; raise Refusal 400 that says what is wrong, and where."""
    if not isinstance(text, str) or not text.strip() or len(text) > _MAX_CHARS:
        raise bad_query(f"it must be a text of at most {_MAX_CHARS} characters")
    return _Parser(text).query()


class _Parser:
    """Recursive descent over the tokens: pairs of a kind and a text."""

    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        self._at = 0
        self._depth = 0

    def query(self) -> Query:
        self._keyword("select")
        top = self._top()
        columns = self._columns()
        self._keyword("from")
        source = ".".join(self._path())
        if source.lower() != "devices":
            raise bad_query(f"only FROM devices is served here, not {source[:64]}")
        where = self._condition() if self._takes("where") else None
        group_by = None
        if self._takes("group"):
            self._keyword("by")
            group_by = self._path()
        if self._at < len(self._tokens):
            self._fail("the end")
        query = Query(tuple(columns), where, group_by, top)
        _check_columns(query)
        return query

    def _top(self) -> int | None:
        if not self._takes("top"):
            return None
        number = self._constant()
        if not isinstance(number, int) or isinstance(number, bool) or number < 1:
            raise bad_query("TOP takes a number from 1")
        return number

    def _columns(self) -> list[Column]:
        if self._takes_mark("*"):
            return []
        columns = [self._column()]
        while self._takes_mark(","):
            columns.append(self._column())
        return columns

    def _column(self) -> Column:
        kind, text = self._peek()
        aggregate = text.lower()
        path: Path = ()
        if kind == "name" and aggregate in _AGGREGATES and self._peek(1) == ("mark", "("):
            self._at += 2
            if aggregate != "count":
                path = self._path()
            self._mark(")")
            name = aggregate
        else:
            aggregate, path = "", self._path()
            name = path[-1]
        if self._takes("as"):
            name = self._name()
        return Column(path, name, aggregate)

    def _condition(self) -> Value:
        parts = [self._conjunction()]
        while self._takes("or"):
            parts.append(self._conjunction())
        return parts[0] if len(parts) == 1 else any_of(parts)

    def _conjunction(self) -> Value:
        parts = [self._negation()]
        while self._takes("and"):
            parts.append(self._negation())
        return parts[0] if len(parts) == 1 else all_of(parts)

    def _negation(self) -> Value:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise bad_query(f"it is nested deeper than {_MAX_DEPTH} levels")
        try:
            if self._takes("not"):
                inner = self._negation()
                return lambda twin: inner(twin) is not True
            if self._takes_mark("("):
                inner = self._condition()
                self._mark(")")
                return inner
            return self._comparison()
        finally:
            self._depth -= 1

    def _comparison(self) -> Value:
        if self._takes("is_defined"):
            self._mark("(")
            path = self._path()
            self._mark(")")
            return lambda twin: look(twin, path) is not NOWHERE
        left = self._operand()
        kind, text = self._peek()
        if kind == "mark" and text in COMPARISONS:
            self._at += 1
            return compared(left, text, self._operand())
        if self._takes("in"):
            return among(left, self._constants(), True)
        if self._takes("nin"):
            return among(left, self._constants(), False)
        # A path alone: whether it is true.
        return left

    def _operand(self) -> Value:
        kind, text = self._peek()
        if kind == "quoted" or (
            kind == "name" and text.lower() not in ("true", "false", "null", "undefined")
        ):
            path = self._path()
            return lambda twin: look(twin, path)
        constant = self._constant()
        return lambda _: constant

    def _constants(self) -> list[Any]:
        self._mark("[")
        found = [self._constant()]
        while self._takes_mark(","):
            found.append(self._constant())
        self._mark("]")
        return found

    def _constant(self) -> Any:
        kind, text = self._next("a constant")
        if kind == "number":
            return _number(text)
        if kind == "text":
            return _unescaped(text[1:-1])
        words = {"true": True, "false": False, "null": None, "undefined": NOWHERE}
        if kind != "name" or text.lower() not in words:
            self._at -= 1
            self._fail("a constant")
        return words[text.lower()]

    def _path(self) -> Path:
        names = [self._name()]
        while self._takes_mark("."):
            names.append(self._name(first=False))
        return tuple(names)

    def _name(self, first: bool = True) -> str:
        kind, text = self._next("a name")
        if kind not in ("name", "quoted") or (
            first and kind == "name" and text.lower() in _RESERVED
        ):
            self._at -= 1
            self._fail("a name")
        if self._peek() == ("mark", "("):
            raise bad_query(f"the function {text[:64]}() is not served here, is_defined() is")
        return text

    def _peek(self, ahead: int = 0) -> tuple[str, str]:
        at = self._at + ahead
        return self._tokens[at] if at < len(self._tokens) else ("end", "")

    def _next(self, wanted: str) -> tuple[str, str]:
        if self._at >= len(self._tokens):
            self._fail(wanted)
        self._at += 1
        return self._tokens[self._at - 1]

    def _takes(self, keyword: str) -> bool:
        kind, text = self._peek()
        found = kind == "name" and text.lower() == keyword
        self._at += found
        return found

    def _takes_mark(self, mark: str) -> bool:
        found = self._peek() == ("mark", mark)
        self._at += found
        return found

    def _keyword(self, keyword: str) -> None:
        if not self._takes(keyword):
            self._fail(keyword.upper())

    def _mark(self, mark: str) -> None:
        if not self._takes_mark(mark):
            self._fail(f"'{mark}'")

    def _fail(self, wanted: str) -> NoReturn:
        kind, text = self._peek()
        found = "the end" if kind == "end" else f"'{text[:64]}'"
        raise bad_query(f"expected {wanted}, found {found}")


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    text, at = text.rstrip(), 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise bad_query(f"it makes no sense from '{text[at : at + 32].strip()}'")
        at, kind = match.end(), match.lastgroup or ""
        yield kind, match[kind]


def _number(text: str) -> float:
    if "x" in text.lower():
        return int(text, 16)
    return float(text) if any(c in text for c in ".eE") else int(text)


def _unescaped(text: str) -> str:
    def plain(match: re.Match[str]) -> str:
        escape = match[1]
        if len(escape) == 5:
            return chr(int(escape[1:], 16))
        if escape not in "'\"\\":
            raise bad_query(f"\\{escape} is no escape; \\' \\\" \\\\ and \\uXXXX are")
        return escape

    return _ESCAPE.sub(plain, text)


def _check_columns(query: Query) -> None:
    if not query.is_aggregate:
        return
    for column in query.columns:
        if not column.aggregate and column.path != query.group_by:
            raise bad_query(f"{'.'.join(column.path)[:64]} is neither grouped by nor summed up")
    if not query.columns:
        raise bad_query("SELECT * does not go with GROUP BY")
