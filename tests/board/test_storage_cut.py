"""A virtual board whose power goes in the middle of a write: what its next boot finds."""

import base64
import json
import zlib

import pytest

from firstlight.errors import BoardError
from firstlight.layout import firmware_folder
from firstlight.repl import Repl
from firstlight.virtual import VirtualBoard

SAVE = "import {0}\n{0}.save('a', b'new.' * 60)"
LOAD = "import {0}\nprint({0}.load('a')[:4].decode())"
DEAD_S = 1.0
# Made by Espressif's esp-idf-nvs-partition-gen 0.3.0, 0x6000 bytes: namespace firstlight, with
# count, i32, -5 and a, hex2bin, b"good\\n\\0\\xff" five times.
GENERATED = (
    "eNrtzrFKgmEUgOHvQyfnwMZAcOsmmlq6g0CkSIXoh7S2tq7AKdwEcegG4vcSvCQVjyI2hPDbBTzPcoaXczjbiEh72zj1"
    "eb0ov1dRKeUcV7P79tPgdTh6HvT6o3SQjz1f5Pj5eJ88FG8vx3Sw/u03tTT+mk+76a9Wiiibm8teUTw2UlSNSvk2x7Le"
    "uTu9v//xzC4AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAPzXDnrLMdk="
)


def cut_after(board: VirtualBoard, writes: int | None) -> None:
    """Cut the power in the middle of that write, the first being 0, of each boot; None: never."""
    path = board.folder / "virtual.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"cut_after": writes}))


def does(board: VirtualBoard, code: str) -> bool:
    """Whether a board that is switched on for it can do that, and lives."""
    with board, Repl(board.port or "") as repl:
        try:
            repl.exec(code, DEAD_S)
        except BoardError:
            return False
        return True


@pytest.mark.parametrize("store", ["nvsstore", "filestore"])
def test_a_board_that_dies_in_a_write_has_the_old_record_or_the_new(
    store: str, board: VirtualBoard
) -> None:
    with board, Repl(board.port or "") as repl:
        source = (firmware_folder() / f"{store}.py").read_bytes()
        repl.write_file(f"/{store}.py", source)
        repl.exec(f"import {store}\n{store}.save('a', b'old.' * 60)")
    found = []
    for writes in range(0, 100, 7):  # in every write: test_storage.py
        cut_after(board, writes)
        is_cut = not does(board, SAVE.format(store))
        cut_after(board, None)
        with board, Repl(board.port or "") as repl:
            found.append(repl.exec(LOAD.format(store)).decode().strip())
        if not is_cut:
            break
    assert found[0] == "old."
    assert found[-1] == "new."
    assert set(found) == {"old.", "new."}


def test_the_stand_in_reads_what_espressifs_own_tool_wrote(board: VirtualBoard) -> None:
    (board.folder / "nvs.img").write_bytes(zlib.decompress(base64.b64decode(GENERATED)))
    ask = "import esp32, nvsstore\nprint(esp32.NVS('firstlight').get_i32('count'), {})"
    with board, Repl(board.port or "") as repl:
        repl.write_file("/nvsstore.py", (firmware_folder() / "nvsstore.py").read_bytes())
        made = repl.exec(ask.format("nvsstore.load('a') == b'good\\n\\0\\xff' * 5"))
        repl.exec("nvsstore.save('a', b'new')")
    with board, Repl(board.port or "") as repl:
        changed = repl.exec(ask.format("nvsstore.load('a')"))
    assert (made.split(), changed.split()) == ([b"-5", b"True"], [b"-5", b"b'new'"])


def test_a_board_that_stores_for_years_opens_nvs_once(board: VirtualBoard) -> None:
    """Each opening takes memory for ever; the stand-in has it for some hundred."""
    with board, Repl(board.port or "") as repl:
        for name in ("board", "nvsstore"):
            repl.write_file(f"/{name}.py", (firmware_folder() / f"{name}.py").read_bytes())
        repl.exec("import board\nfor n in range(300): board.load('a')", 30)
