"""Stores at their limits: too long, the same again, a full flash, what others left, and wear."""

from typing import Any

import pytest

from .test_storage import STORES, Probe, probe

__all__ = ["probe"]

FILES = ["esp32", "rp2"]
OLD = "store.save('a', b'old.' * 200)\n"
REFUSED = """
try:
    store.save('a', b'new.' * %d)
except OSError as e:
    assert e.errno == %s, e.errno
else:
    raise ValueError('taken')
"""


def one(probe: Probe, store: str, step: str, **asked: Any) -> tuple[Any, int]:
    """What the boot after the step says, and how many writes that took."""
    [cuts] = probe.cuts(store, [step], harm=["nothing"], **asked)
    return cuts[-1].said, len(cuts) - 1


@pytest.mark.parametrize("store", STORES)
def test_a_record_that_is_too_long_is_refused_before_anything_is_written(
    store: str, probe: Probe
) -> None:
    assert one(probe, store, REFUSED % (257, "7"), before=OLD) == ("old.", 0)


@pytest.mark.parametrize("store", STORES)
def test_the_longest_record_reads_back_whole(store: str, probe: Probe) -> None:
    code = "store.save('fifteen_letters', b'1234' * 256)"
    said, _ = one(probe, store, code, after="len(store.load('fifteen_letters') or '')")
    assert said == 1024


@pytest.mark.parametrize("store", STORES)
def test_the_same_again_costs_nothing(store: str, probe: Probe) -> None:
    assert one(probe, store, OLD, before=OLD) == ("old.", 0)


@pytest.mark.parametrize("store", STORES)
def test_what_is_not_there_is_none_and_can_be_erased_at_no_cost(store: str, probe: Probe) -> None:
    step = "assert store.load('a') is None\nstore.erase('a')"
    assert one(probe, store, step, before="store.load('a')") == ("none", 0)


@pytest.mark.parametrize("store", STORES)
def test_a_record_of_others_that_is_too_long_reads_as_absent(store: str, probe: Probe) -> None:
    foreign = {
        "nvs": "n = esp32.NVS('firstlight')\nn.set_blob('a', bytes(1025))\nn.commit()\n",
    }.get(store, "with open('/a.rec', 'wb') as f: f.write(bytes(1025))\n")
    assert one(probe, store, "pass", before=foreign)[0] == "none"
    assert one(probe, store, OLD, before=foreign)[0] == "old."
    assert one(probe, store, "store.erase('a')", before=foreign + OLD)[0] == "none"


@pytest.mark.parametrize("store", FILES)
def test_a_full_file_system_keeps_the_old_record_and_nothing_beside_it(
    store: str, probe: Probe
) -> None:
    fill = (
        "n = 0\ntry:\n    while True:\n        n += 1\n"
        "        with open('/filler%d' % n, 'wb') as f: f.write(bytes(4000))\n"
        "except OSError: pass\n"
    )
    after = "[store.load('a')[:4].decode(), [n for n in os.listdir('/') if '.new' in n]]"
    step = REFUSED % (250, "28") + f"\nassert {after} == ['old.', []]"
    said, _ = one(probe, store, step, before=OLD + fill, after=after, then="")
    assert said == ["old.", []]


FILL = """
f = esp32.NVS('filler')
f.set_blob('hole', bytes(%d))
f.commit()
n, size = 0, 4000
while size:
    n += 1
    try:
        f.set_blob('f%%d' %% n, bytes(size)) if size > 1 else f.set_i32('f%%d' %% n, n)
        f.commit()
    except OSError: size //= 4
f.erase_key('hole')
f.commit()
"""


@pytest.mark.parametrize("left", [800])
def test_a_full_nvs_keeps_the_old_record(left: int, probe: Probe) -> None:
    """Whatever is left of the page that has it: https://github.com/espressif/esp-idf/pull/18827."""
    step = REFUSED % (256, "-0x1105")
    assert one(probe, "nvs", step, before=OLD + FILL % left, then="")[0] == "old."


@pytest.mark.parametrize("step", ["store.save('a', b'new.')", "store.erase('a')"])
@pytest.mark.parametrize("store", FILES)
def test_what_a_cut_left_beside_a_record_goes_with_the_next_call(
    store: str, step: str, probe: Probe
) -> None:
    before = "with open('/a.rec.new', 'wb') as f: f.write(bytes(3000))\n" + OLD
    before += "with open('/a.rec.new', 'wb') as f: f.write(bytes(3000))\n"
    after = "[n for n in os.listdir('/') if '.new' in n]"
    assert one(probe, store, step, before=before, after=after)[0] == []


def test_nvs_is_opened_once_for_all_calls(probe: Probe) -> None:
    """MicroPython never closes a namespace; the stand-in has memory for some hundred of them."""
    step = "for n in range(600):\n    store.load('a')\n    store.load('b')"
    assert one(probe, "nvs", step, before=OLD) == ("old.", 0)


@pytest.mark.parametrize(("store", "most"), [("esp32", 12), ("rp2", 6), ("nvs", 16)])
def test_a_save_costs_so_many_writes_and_an_erase_three(
    store: str, most: int, probe: Probe
) -> None:
    assert 0 < one(probe, store, "store.save('a', b'new.' * 200)", before=OLD)[1] <= most
    assert 0 < one(probe, store, "store.erase('a')", before=OLD)[1] <= 4
