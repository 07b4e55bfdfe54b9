"""A power cut in any write of any store operation: the next boot has the old record or the new.

Real littlefs2 of MicroPython, on NOR flash that dies in its n-th write, and NVS as its stand-in
writes it; storage_probe.py cuts. Each cut in several ways, and what is saved after it holds too.
"""

import hashlib
import json
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from firstlight.repl import Repl

HERE = Path(__file__).parent
STORES = ("esp32", "rp2", "nvs")
HARM = ("nothing", "half", "all", "noise")
RECORD = "(store.load('a') or b'none').decode()[:4]"
THEN = "store.save('a', b'then' * 100)"


@dataclass(frozen=True)
class Cut:
    """After a cut in the write of that number, or none: what the next boot said, and the one
    after it, when the first had done what it was told.
    """

    number: int
    harm: str
    said: Any
    said_later: Any


@dataclass(frozen=True)
class Probe:
    micropython: list[str]

    def cuts(self, flash: str, steps: Iterable[str], **changes: Any) -> list[list[Cut]]:
        """Cut each of the steps everywhere; the last Cut of each is none."""
        asked = {
            "flash": flash,
            "path": str(HERE.parents[1] / "boards" / "VIRTUAL"),
            "blocks": 16,
            "before": "",
            "steps": list(steps),
            "harm": HARM,
            "after": RECORD,
            "then": THEN,
        } | changes
        done = subprocess.run(
            [*self.micropython, "-X", "heapsize=128m", str(HERE / "storage_probe.py")],
            input=json.dumps(asked) + "\n",
            env={"MICROPYPATH": f"{HERE.parents[1] / 'firmware'}:.frozen"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.stdout.startswith("["), done.stdout + done.stderr
        found = json.loads(done.stdout.splitlines()[0])
        return [[Cut(number, harm, *said) for number, harm, said in step] for step in found]


@pytest.fixture
def probe(micropython: list[str]) -> Probe:
    return Probe(micropython)


def assert_old_or_new(cuts: list[Cut], old: Any, new: Any) -> None:
    """Each of the two in its turn, nothing else; and what was saved after the cut is there."""
    said = [cut.said for cut in cuts]
    assert {str(one) for one in said} == {str(old), str(new)}
    assert (said[0], said[-1], cuts[-1].harm) == (old, new, "uncut")
    assert {cut.said_later for cut in cuts} == {"then"}


@pytest.mark.parametrize("store", STORES)
def test_a_first_record_is_there_or_not(store: str, probe: Probe) -> None:
    [cuts] = probe.cuts(store, ["store.save('a', b'new' * 300)"])
    assert_old_or_new(cuts, "none", "newn")


@pytest.mark.parametrize("size", [3, 30, 250])
@pytest.mark.parametrize("store", STORES)
def test_an_overwritten_record_is_the_old_or_the_new(store: str, size: int, probe: Probe) -> None:
    before = f"store.save('b', b'other'); store.save('a', b'old.' * {size})"
    [cuts] = probe.cuts(store, [f"store.save('a', b'new.' * {256 - size})"], before=before)
    assert_old_or_new(cuts, "old.", "new.")


@pytest.mark.parametrize("store", STORES)
def test_an_erased_record_is_there_or_not_and_never_an_older_one(store: str, probe: Probe) -> None:
    before = "store.save('a', b'older' * 90); store.save('a', b'old.' * 90)"
    [cuts] = probe.cuts(store, ["store.erase('a')"], before=before)
    assert_old_or_new(cuts, "old.", "none")


@pytest.mark.parametrize("store", STORES)
def test_an_erased_record_that_a_cut_left_twice_is_never_the_older_one(
    store: str, probe: Probe
) -> None:
    """NVS: cut between the two namespaces, both have it; then erased, and cut again."""
    saves = ["store.save('a', b'1st.' * 99)", "store.save('a', b'2nd.' * 99)"]
    then = "store.save('a', b'3rd.' * 99); store.erase('a')"
    for cuts in probe.cuts(store, saves, before=saves[1], then=then):
        assert {cut.said for cut in cuts} == {"1st.", "2nd."}
        assert {cut.said_later for cut in cuts} == {"none"}
    if store == "nvs":
        both = (
            "for n in ('firstlight', 'firstlight2'):\n    s = esp32.NVS(n)\n"
            "    s.set_blob('a', b'1st.' if n[-1] == 't' else b'2nd.')\n    s.commit()"
        )
        [cuts] = probe.cuts(store, ["store.erase('a')"], before=both)
        assert_old_or_new(cuts, "1st.", "none")


@pytest.mark.parametrize(("store", "first", "last"), [("esp32", 4, 24), ("rp2", 4, 16)])
def test_a_folder_whose_log_is_full_keeps_its_records(
    store: str, first: int, last: int, probe: Probe
) -> None:
    before = f"for n in range({first}): store.save('a', b'%04d' % n * 150)"
    steps = [f"store.save('a', b'{n:04d}' * 150)" for n in range(first, last)]
    found = probe.cuts(store, steps, before=before, harm=["half", "noise"])
    writes = [len(cuts) for cuts in found]
    assert max(writes) > min(writes), "the log was never written anew"
    for n, cuts in zip(range(first, last), found, strict=True):
        assert_old_or_new(cuts, f"{n - 1:04d}", f"{n:04d}")


def test_a_page_of_nvs_that_is_moved_loses_nothing(probe: Probe) -> None:
    """Records that stay lie among what was erased, so that a page is moved before it is freed."""
    before = (
        "for n in range(25):\n    if n % 5 == 0: store.save('k%d' % n, b'kept')\n"
        "    store.save('a', b'%04d' % n * 150)"
    )
    steps = [f"store.save('a', b'{n:04d}' * 150)" for n in range(25, 29)]
    after = (
        "'lost' if None in [store.load('k%d' % n) for n in range(0, 25, 5)] else "
        "(store.load('a') or b'none').decode()[:4]"
    )
    found = probe.cuts("nvs", steps, before=before, after=after, harm=["half", "noise"])
    writes = [len(cuts) for cuts in found]
    assert max(writes) > min(writes) + 10, "no page was moved"
    for n, cuts in zip(range(25, 29), found, strict=True):
        assert_old_or_new(cuts, f"{n - 1:04d}", f"{n:04d}")


class Recorder(Repl):
    """What write_file() lets a board do, as code."""

    def __init__(self, data: bytes) -> None:
        super().__init__("none")
        self.code: list[str] = []
        self._answers = ["", hashlib.sha256(data).hexdigest()]

    def exec(self, code: str, timeout_s: float | None = None) -> bytes:
        self.code.append(code)
        return b""

    def hashes(self, paths: Iterable[str]) -> dict[str, str]:
        return {path: self._answers.pop(0) for path in paths}


def injected(path: str, data: bytes) -> str:
    recorder = Recorder(data)
    recorder.write_file(path, data)
    return "\n".join(recorder.code)


@pytest.mark.parametrize("path", ["/identity.json", "/roots/0.der"])
@pytest.mark.parametrize("store", ["esp32", "rp2"])
def test_an_injected_file_is_the_old_or_the_new(store: str, path: str, probe: Probe) -> None:
    old, new = (bytes([n]) * (900 + n) for n in b"on")
    after = f"(lambda raw: [raw[:1].decode(), len(raw)])(open({path!r}, 'rb').read())"
    then = "store.save('a', b'then' * 100)"
    [cuts] = probe.cuts(
        store, [injected(path, new)], before=injected(path, old), after=after, then=then
    )
    assert {tuple(cut.said) for cut in cuts} == {("o", 1011), ("n", 1010)}
    assert (cuts[0].said[0], cuts[-1].said[0]) == ("o", "n")
    assert all(cut.said == cut.said_later for cut in cuts)
