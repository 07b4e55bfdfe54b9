"""The power goes in the middle of a write to the flash; the next boot finds its way all the same.

tests/board/test_storage.py cuts in every write of each operation; here the firmware does them.
"""

import json
import time

import pytest

from tests.e2e.bench import NAME, Bench

WAIT_S = 20.0
KEEPING = b"""
import os
from binascii import hexlify
INTERVAL_S = 0.2
KEEP = True
boot = hexlify(os.urandom(4)).decode()
count = 0
def sample():
    global count
    print("accepted", boot, count)
    count += 1
    return {"boot": boot, "count": count}
"""


def cut_after(bench: Bench, writes: int | None) -> None:
    """Cut the power in the middle of that write, the first being 0, of each boot; None: never."""
    path = bench.board.folder / "virtual.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"cut_after": writes}))


def until(bench: Bench, *texts: str) -> str:
    """The text that the console shows first."""
    deadline = time.monotonic() + WAIT_S
    while time.monotonic() < deadline:
        found = [text for text in texts if text.encode() in bench.board.console]
        if found:
            return found[0]
        time.sleep(0.02)
    raise AssertionError(f"none of {texts}")


@pytest.mark.parametrize("writes", [0, 6, 12, 18, 24])
def test_a_cut_while_it_registers_does_not_keep_a_board_from_its_hub(
    writes: int, bench: Bench
) -> None:
    bench.give(bench.document(bench.group_key()[1]))
    cut_after(bench, writes)
    with bench.board:
        assert until(bench, "power cut", "acknowledged 1") == "power cut"
    cut_after(bench, None)
    with bench.board:
        assert bench.azure.wait_for_telemetry(1, NAME, WAIT_S)
    with bench.board:
        assert until(bench, "dps ", "acknowledged 1") == "acknowledged 1"


@pytest.mark.parametrize("writes", [13, 22, 31, 40])
def test_a_cut_at_the_outbox_loses_no_message_that_was_accepted(writes: int, bench: Bench) -> None:
    bench.give(bench.document(bench.group_key()[1]), KEEPING)
    with bench.board:
        assert bench.azure.wait_for_telemetry(2, NAME, WAIT_S)
    cut_after(bench, writes)
    with bench.board:
        assert until(bench, "power cut", "no such text") == "power cut"
        lines = bench.board.console.decode().splitlines()
    boot, count = [line.split()[1:] for line in lines if line.startswith("accepted")][-1]
    cut_after(bench, None)
    with bench.board:
        deadline = time.monotonic() + WAIT_S
        wanted = {(boot, n + 1) for n in range(int(count))}
        while wanted - arrived(bench) and time.monotonic() < deadline:
            time.sleep(0.05)
    assert not wanted - arrived(bench)


def arrived(bench: Bench) -> set[tuple[str, int]]:
    bodies = [json.loads(message.body) for message in bench.azure.telemetry(NAME)]
    return {(body["boot"], body["count"]) for body in bodies if "boot" in body}
