"""How far a long piece of work is: a bar on a terminal, a line now and then elsewhere."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import click

_STEP = 0.25  # between two plain lines

Progress = Callable[[float], None]
Say = Callable[[str], None]


@contextmanager
def shown(what: str) -> Iterator[tuple[Progress, Say]]:
    """What takes the progress, 0.0 to 1.0, and what takes lines to be told meanwhile."""
    if sys.stdout.isatty():
        with _bar(what) as both:
            yield both
    else:
        yield _plain(), lambda text: click.echo(f"  {text}")


@contextmanager
def _bar(what: str) -> Iterator[tuple[Progress, Say]]:
    from rich.markup import escape  # noqa: PLC0415  a third of a second of imports
    from rich.progress import Progress as Bar  # noqa: PLC0415

    with Bar() as bar:
        task = bar.add_task(escape(what), total=1.0)
        yield (
            lambda done: bar.update(task, completed=done),
            lambda text: bar.console.print(f"  {text}", markup=False, highlight=False),
        )


def _plain() -> Progress:
    told = 0.0

    def progress(done: float) -> None:
        nonlocal told
        if done - told >= _STEP or done >= 1.0 > told:
            told = done
            click.echo(f"  {done:.0%}")

    return progress
