"""README's table of errors, against the code: what stands there is what users read.

Every text of code in the first column must be one that the firmware or the host tool can put
together from its string constants. `...`, numbers and the words of _PLACEHOLDERS stand for what
differs from case to case. The emulator's own answers do not count: Azure's words are not ours.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from firstlight.line import messages

ROOT = Path(__file__).parents[1]
_PLACEHOLDERS = ("NAME", "PORT", "PATH", "ID", "N")
_WILD = re.compile(rf"\.\.\.|\d+|\b(?:{'|'.join(_PLACEHOLDERS)})\b")
_CONVERSION = re.compile(r"%(?:\(\w+\))?[-0#+ ]*\d*(?:\.\d+)?[diouxXeEfgGrsac]")
_STATUS = re.compile("[A-Z]+(?:_[A-Z]+)+")  # a driver's, which firmware/wifi.py tells in words
_LEAST = 4  # letters of a piece that is found inside a longer one


def table() -> str:
    """The table of README's troubleshooting section."""
    text = (ROOT / "README.md").read_text()
    return text.partition("## Troubleshooting")[2].partition("\n## ")[0]


def told_in_the_table() -> list[str]:
    """Each piece of code in the first column."""
    rows = [line.split("|")[1] for line in table().splitlines() if line.startswith("| ")]
    return [told for row in rows for told in re.findall("`([^`]+)`", row)]


def sources() -> list[list[Path]]:
    """The two programs that talk to people."""
    tool = ROOT / "host_tools" / "firstlight"
    host = [path for path in tool.rglob("*.py") if "emulator" not in path.relative_to(tool).parts]
    return [[*ROOT.glob("firmware/*.py"), *ROOT.glob("firmware/aziot/*.py")], host]


def constants(path: Path) -> Iterator[str]:
    """The string constants of a file but its docstrings, cut where something is filled in."""
    tree = ast.parse(path.read_text())
    docs = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield from _CONVERSION.split(node.value)
            if _STATUS.fullmatch(node.value):
                yield node.value.lower().replace("_", " ")


@cache
def pieces() -> list[frozenset[str]]:
    """Per program, every piece of text that it can print."""
    return [
        frozenset(piece for path in paths for piece in constants(path) if piece)
        for paths in sources()
    ]


def can_be_said(told: str, known: frozenset[str]) -> bool:
    """Whether a text can be made of known pieces, one after the other, and of what is filled in.

    Pieces are used whole; only the first may be a piece's end, and the last a piece's beginning,
    for a table need not tell a long message to its end.
    """
    if any(told in piece for piece in known):
        return True
    ways = {0}
    for at in range(len(told)):
        if at in ways:
            ways.update(at + size for size in _steps(told, at, known))
    return len(told) in ways


def _steps(told: str, at: int, known: frozenset[str]) -> Iterator[int]:
    """How far one piece leads from a place in the text."""
    rest = told[at:]
    wild = _WILD.match(told, at)
    if wild:
        yield len(wild[0])
    for piece in known:
        if _is_word(piece) and rest.startswith(piece):
            yield len(piece)
        elif len(rest) >= _LEAST and piece.startswith(rest):
            yield len(rest)
        elif at == 0:
            yield from _tail(piece, rest)


def _is_word(piece: str) -> bool:
    """Whether a piece is a message's, or between two of them: not a letter that is a key."""
    return len(piece) >= _LEAST or piece != piece.strip(" :;,()")


def _tail(piece: str, rest: str) -> Iterator[int]:
    """How long a beginning of the rest may be that the piece ends with."""
    for size in range(min(len(piece), len(rest)), _LEAST - 1, -1):
        if piece.endswith(rest[:size]):
            yield size


@pytest.mark.parametrize("told", told_in_the_table())
def test_what_the_table_tells_can_be_read_somewhere(told: str) -> None:
    assert any(can_be_said(told, known) for known in pieces()), (
        f"no message of the firmware or of the tool reads so (any more): {told}"
    )


@pytest.mark.parametrize("told", told_in_the_table())
def test_one_letter_that_differs_is_found(told: str) -> None:
    """The test above can fail. Every third letter is tried; placeholders may be anything."""
    wild = {at for match in _WILD.finditer(told) for at in range(*match.span())}
    for at in range(0, len(told), 3):
        if at not in wild and told[at].isalpha():
            other = told[:at] + "\u01c2" + told[at + 1 :]
            assert not any(can_be_said(other, known) for known in pieces()), other


def test_a_message_that_changes_is_found() -> None:
    for told in told_in_the_table():
        word = max(re.findall("[A-Za-z]+", _WILD.sub(" ", told)), key=len)
        changed = [frozenset(piece.replace(word, "?") for piece in known) for known in pieces()]
        assert not any(can_be_said(told, known) for known in changed), (told, word)


def test_there_is_a_table() -> None:
    assert len(told_in_the_table()) > 15


def operators_messages() -> list[str]:
    """What the line's screen tells an operator to do."""
    return [
        value
        for name, value in vars(messages).items()
        if name.isupper() and not name.startswith("_") and isinstance(value, str)
    ]


@pytest.mark.parametrize("told", operators_messages())
def test_what_an_operator_is_told_is_in_the_readme(told: str) -> None:
    assert told in re.sub(r"\s+", " ", table())
