"""What an operator sees: a row for each unit, in colours seen from two metres, and a bell.

Decides nothing. Text from boards is shown and never obeyed: it can neither steer the terminal nor
be taken for markup. Without a terminal it is lines, one for each change.
"""

from collections import Counter, deque
from collections.abc import Sequence
from statistics import median
from types import TracebackType
from typing import Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from .rows import Row, State

WORDS: dict[State, str] = {
    "working": "",
    "passed": "PASS",
    "failed": "FAIL",
    "skipped": "SKIP",
    "waiting": "WAIT",
    "gone": "GONE",
}
_STYLES = {
    "passed": "bold black on green",
    "re-proved": "bold black on green",
    "failed": "bold white on red",
    "skipped": "bold black on cyan",
    "waiting": "bold black on yellow",
    "gone": "bold black on yellow",
}
_RINGS: dict[State, int] = {"passed": 1, "failed": 3}  # of the bell
_MOST_RINGS = 9  # that are still to come
_MOST_SAID = 200  # lines that wait to be shown
_LONGEST = 400  # characters of one text
_MOST_LISTED = 24  # units in the summary, unless they need somebody's hand
_MOST_TROUBLE = 200
_NARROW, _WIDE = 60, 100  # columns of the terminal


class Ended(Protocol):
    """A unit in the summary: how it ended, what to do with it, and why."""

    @property
    def seat(self) -> str: ...
    @property
    def name(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def advice(self) -> str: ...
    @property
    def cause(self) -> str: ...


def plain(text: str) -> str:
    """Text that no terminal obeys: whatever is not printable is a question mark."""
    return "".join(c if c.isprintable() else "?" for c in text[:_LONGEST])


class Screen:
    """The rows of a line, as a context manager. bell: whether it rings; never without a terminal.

    show() and summary() are for one thread; say() for any, and for a signal's handler.
    """

    def __init__(self, console: Console, title: str, bell: bool) -> None:
        self._console, self._title, self._bell = console, plain(title), bell
        self._is_drawn = console.is_terminal and not console.is_dumb_terminal
        self._live: Live | None = None
        self._is_open = False
        self._said: deque[str] = deque(maxlen=_MOST_SAID)
        self._seen: dict[str, tuple[str, ...]] = {}
        self._rings = 0

    def show(self, rows: Sequence[Row]) -> None:
        """Show the units as they are now; those that are no longer among them are gone."""
        self._tell()
        for row in rows:
            before = self._seen.get(row.seat, ("", ""))
            if before[0] != row.state:
                self._rings = min(_MOST_RINGS, self._rings + _RINGS.get(row.state, 0))
            if not self._is_drawn and before != _change(row):
                self._line(_as_line(row))
        self._seen = {row.seat: _change(row) for row in rows}
        self._ring()
        if self._live is not None:
            self._live.update(self._drawn(rows), refresh=True)

    def say(self, text: str) -> None:
        """Show a line above the rows, with the next show() or at the end."""
        self._said.append(plain(text))
        if not self._is_open:
            self._tell()

    def summary(self, results: Sequence[Ended], seconds: Sequence[float]) -> None:
        """Say how it all ended. seconds: what each of the units took, in the results' order."""
        counts = Counter(result.state for result in results)
        for state in ("passed", "failed", "skipped", "re-proved"):
            counts.setdefault(state, 0)
        totals = ", ".join(f"{count} {plain(state)}" for state, count in counts.items())
        listed = _listed(results, seconds)
        if self._is_drawn and self._console.width >= _NARROW and listed:
            self._console.print(_table(listed))
        else:
            for result, took_s in listed:
                self._line(_result_line(result, took_s))
        units = "unit" if len(results) == 1 else "units"
        self._line(f"{len(results)} {units}: {totals}")
        if seconds:
            middle, most = median(seconds), max(seconds)
            self._line(f"seconds per unit: {middle:.1f} in the middle, {most:.1f} at most")

    def __enter__(self) -> "Screen":
        self._is_open = True
        if self._is_drawn:
            # No thread of its own: show() draws. Nobody else's output is caught.
            self._live = Live(
                self._drawn([]),
                console=self._console,
                auto_refresh=False,
                redirect_stdout=False,
                redirect_stderr=False,
                vertical_overflow="crop",
            )
            self._live.start()
        else:
            self._line(self._title)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_open = False
        self._tell()
        while self._rings:
            self._ring()
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _tell(self) -> None:
        while self._said:
            self._line(self._said.popleft())

    def _line(self, text: str) -> None:
        self._console.print(Text(text), soft_wrap=True, highlight=False)

    def _ring(self) -> None:
        """Ring once: one bell at a time is heard, three at once are one."""
        if self._rings and self._bell and self._is_drawn:
            self._console.bell()
        self._rings = max(0, self._rings - 1)

    def _drawn(self, rows: Sequence[Row]) -> Group:
        shown = _fitting(rows, self._console.height - 3)
        counts = Counter(row.state for row in rows)
        texts = [f"{counts[s]} {word or 'at work'}" for s, word in WORDS.items() if counts[s]]
        head = Text(self._title, style="bold", no_wrap=True, overflow="ellipsis")
        head.append("  " + ", ".join(texts), style="not bold")
        parts: list[Text | Table] = [head, _rows_table(shown, self._console.width)]
        if len(shown) < len(rows):
            parts.append(Text(f"and {len(rows) - len(shown)} more"))
        return Group(*parts)


def _change(row: Row) -> tuple[str, ...]:
    """What makes a new line; what a unit says at work changes too often."""
    message = "" if row.state == "working" else row.message
    return row.state, row.stage if row.state == "working" else "", row.name, message


def _as_line(row: Row) -> str:
    parts = [row.seat, row.board, row.name, _word(row)]
    line = "  ".join(plain(part) for part in parts if part)
    return line if row.state == "working" or not row.message else f"{line}: {plain(row.message)}"


def _fitting(rows: Sequence[Row], most: int) -> list[Row]:
    """As many rows as there is room for; those that passed are missed the least."""
    order: tuple[State, ...] = ("failed", "gone", "waiting", "working", "skipped", "passed")
    ranked = sorted(rows, key=lambda row: order.index(row.state))
    kept = {row.seat for row in ranked[: max(1, most)]}
    return [row for row in rows if row.seat in kept]


def _rows_table(rows: Sequence[Row], width: int) -> Table:
    """Seat, word and message always; the name and the board where there is room."""
    table = Table.grid(padding=(0, 1), expand=True, pad_edge=True)
    for _ in range(2 + (width >= _NARROW) + (width >= _WIDE)):
        table.add_column(no_wrap=True)
    table.add_column(ratio=1)
    for row in rows:
        table.add_row(*_cells(row, width), style=_STYLES.get(row.state, ""))
    return table


def _cells(row: Row, width: int) -> list[Text | ProgressBar]:
    cells: list[Text | ProgressBar] = [Text(_end_of(row.seat, 10 if width < _WIDE else 24))]
    cells.append(Text(plain(_word(row))))
    if width >= _NARROW:
        cells.append(Text(_end_of(row.name or row.board, 24)))
    if width >= _WIDE:
        cells.append(Text(_end_of(row.board, 16)))
    return [*cells, _message(row)]


def _message(row: Row) -> Text | ProgressBar:
    """What to do next is shown whole; what a unit says at work is cut where the row ends."""
    if row.state != "working":
        return Text(plain(row.message), overflow="fold")
    if row.progress is not None:
        return ProgressBar(total=1.0, completed=min(1.0, max(0.0, row.progress)))
    return Text(plain(row.message), no_wrap=True, overflow="ellipsis")


def _word(row: Row) -> str:
    return WORDS[row.state] or row.stage


def _end_of(text: str, most: int) -> str:
    """The end of a text: seats and ids differ there."""
    whole = plain(text)
    return whole if len(whole) <= most else "…" + whole[-most + 1 :]


def _listed(results: Sequence[Ended], seconds: Sequence[float]) -> list[tuple[Ended, float]]:
    """All units of a few; of many, the newest that did not come through."""
    both = list(zip(results, seconds, strict=False))
    if len(both) <= _MOST_LISTED:
        return both
    done = ("passed", "skipped", "re-proved")
    return [one for one in both if one[0].state not in done][-_MOST_TROUBLE:]


def _result_line(result: Ended, took_s: float) -> str:
    why = f": {plain(result.cause or result.advice)}" if result.cause or result.advice else ""
    seat, name, state = plain(result.seat), plain(result.name), plain(result.state)
    return "  ".join(part for part in (seat, name, f"{state} in {took_s:.1f} s{why}") if part)


def _table(listed: Sequence[tuple[Ended, float]]) -> Table:
    table = Table(expand=False)
    for head in ("seat", "unit", ""):
        table.add_column(head, no_wrap=True)
    table.add_column("s", no_wrap=True, justify="right")
    table.add_column("why", overflow="fold")
    for result, took_s in listed:
        state = Text(plain(result.state), style=_STYLES.get(result.state, ""))
        seat, name = Text(_end_of(result.seat, 16)), Text(_end_of(result.name, 24))
        why = Text(plain(result.cause or result.advice))
        table.add_row(seat, name, state, Text(f"{took_s:.1f}"), why)
    return table
