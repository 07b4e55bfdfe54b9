"""Waits side by side: a test of many silences takes the time of the longest, not of all."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

_THREADS = 6


def at_once(check: Callable[[str], None], names: Iterable[str]) -> None:
    """Run check with each of the names; fail with every one that failed."""
    with ThreadPoolExecutor(_THREADS) as pool:
        running = {name: pool.submit(check, name) for name in names}
    failed = [f"{name}: {it.exception()!r}" for name, it in running.items() if it.exception()]
    assert not failed, "\n".join(failed)
