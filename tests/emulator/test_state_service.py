"""kill -9 on `firstlight emulate --state`: what it acknowledged to any client is there again."""

import random
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from . import acknowledged
from .acknowledged import Client, Ledger
from .processes import Emulation, emulation

PATIENCE_S = 30.0
RULES = (
    "registrations_per_minute=none",
    "polls_per_10_s=none",
    "operations_per_minute=none",
    "hub_rules.backlog=delivered",
)


def options(folder: Path) -> list[str]:
    rules = [word for rule in RULES for word in ("--set", rule)]
    return ["--state", str(folder / "state.db"), "--group", "lot", *rules]


def until_it_is_gone(work: Callable[[Client], None], client: Client) -> None:
    try:
        work(client)
    except Exception as error:
        client.ledger.fail(error)


def hammer(client: Client, acknowledgements: int) -> None:
    """Let every client work at once, and kill the emulator right after so many answers."""
    client.ledger.begin()
    threads = [
        threading.Thread(target=until_it_is_gone, args=(work, client))
        for work in acknowledged.WORK
    ]
    for thread in threads:
        thread.start()
    try:
        client.ledger.wait_for(acknowledgements)
    finally:
        client.azure.kill()
        for thread in threads:
            thread.join(PATIENCE_S)
    if client.ledger.failures:
        raise client.ledger.failures[0]


def identity(azure: Emulation) -> tuple[str, ...]:
    """What must be the same for ever."""
    papers = ("root.pem", "group.key", "connection-string.txt", "hub-localhost.txt")
    texts = [(azure.folder / name).read_text() for name in papers]
    return azure.id_scope, *(text.partition("SharedAccessKey=")[2] or text for text in texts)


@pytest.mark.parametrize("seed", [1, 2])
def test_what_was_acknowledged_survives_kill_9(tmp_path: Path, seed: int) -> None:
    counts = random.Random(seed).sample([1, 7, 50, 150, 300], 5)
    ledger = Ledger()
    same = None
    for turn in range(6):
        with emulation(tmp_path / "papers", *options(tmp_path)) as azure:
            assert same in (None, identity(azure))
            same = identity(azure)
            client = Client(azure, ledger, turn, (azure.folder / "group.key").read_text().strip())
            if turn == 0:
                for id in ("talker", "poster", "reporter", "desired"):
                    client.register(id)
            for check in acknowledged.CHECKS:
                check(client)
            if turn < len(counts):
                hammer(client, counts[turn])
