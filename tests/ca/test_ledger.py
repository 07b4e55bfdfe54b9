"""ca/ledger.py: what a folder knows of itself, whoever wrote it."""

import json
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstlight.ca.ledger import (
    Damaged,
    Ledger,
    Member,
    batch_name,
    parse,
    serial_number,
)
from firstlight.ca.making import Revoked
from firstlight.errors import UsageError

GONE = Revoked(0xA1, datetime(2026, 11, 22, tzinfo=UTC), "superseded")
WHOLE = Ledger(
    "Contoso line CA",
    3650,
    4383,
    "autumn",
    (
        Member("root", "ab" * 32, None, 3, (GONE,)),
        Member("batch-1", "cd" * 32, "file", 1),
        Member("autumn", "ef" * 32, "pkcs11:token=line;object=autumn"),
    ),
)


def test_a_ledger_comes_back_as_it_was() -> None:
    assert parse(WHOLE.to_bytes()) == WHOLE


def test_a_batch_is_found_by_name_or_as_the_current_one() -> None:
    assert WHOLE.batch(None).name == "autumn"
    assert WHOLE.batch("batch-1").key == "file"
    with pytest.raises(UsageError, match="no batch 'winter'; it has batch-1, autumn"):
        WHOLE.batch("winter")
    with pytest.raises(UsageError, match="no batch 'root'"):
        WHOLE.batch("root")


@pytest.mark.parametrize(
    ("break_it", "text"),
    [
        (lambda it: it.update(version=2), "version 1"),
        (lambda it: it.update(name=7), "no proper name"),
        (lambda it: it.update(name="\x1b[2J"), "its name has characters that cannot be shown"),
        (lambda it: it.update(name="x" * (1 << 23)), "it has more than 8388608 bytes"),
        (lambda it: it.update(leaf_days=0), "leaf_days is not a number"),
        (lambda it: it.update(batch_days=True), "batch_days is not a number"),
        (lambda it: it.update(current="winter"), "current is none of its batches"),
        (lambda it: it.update(current="root"), "current is none of its batches"),
        (lambda it: it["members"].pop("root"), "the root and at least one batch"),
        (lambda it: it["members"].update({"../x": it["members"]["batch-1"]}), "proper name"),
        (lambda it: it["members"].update(x=[]), "not an object"),
        (lambda it: it["members"]["batch-1"].update(key="/etc/passwd"), "batch-1.key is neither"),
        (lambda it: it["members"]["batch-1"].update(key="pkcs11:\x1b"), "batch-1.key is neither"),
        (lambda it: it["members"]["batch-1"].update(fingerprint="AB" * 32), "not 64 hex"),
        (lambda it: it["members"]["batch-1"].update(crl=-1), "crl is not a number"),
        (lambda it: it["members"]["root"].update(revoked={}), "no proper revoked"),
        (lambda it: it["members"]["root"].update(revoked=["a1"]), "not an object"),
        (lambda it: it["members"]["root"]["revoked"][0].update(serial="x"), "serial is not hex"),
        (lambda it: it["members"]["root"]["revoked"][0].update(serial="00"), "serial is not hex"),
        (lambda it: it["members"]["root"]["revoked"][0].update(at=1 << 60), "at is not a number"),
        (lambda it: it["members"]["root"]["revoked"][0].update(reason="mood"), "reason is not"),
    ],
)
def test_what_is_wrong_is_named(break_it: Callable[[Any], object], text: str) -> None:
    value = json.loads(WHOLE.to_bytes())
    break_it(value)
    with pytest.raises(Damaged, match=text):
        parse(json.dumps(value).encode())


@given(st.binary(max_size=60), st.integers(0, 900), st.integers(0, 40))
def test_any_bytes_are_a_ledger_or_damaged(junk: bytes, where: int, gone: int) -> None:
    whole = WHOLE.to_bytes()
    with suppress(Damaged):
        parse(whole[:where] + junk + whole[where + gone :])


@pytest.mark.parametrize("name", ["", "root", "A", "-a", "a/b", "a b", "a" * 33, ".a", "x.crl"])
def test_a_batch_is_not_called_anything(name: str) -> None:
    with pytest.raises(UsageError, match="a batch is not called"):
        batch_name(name)


def test_a_serial_number_is_read_as_programs_print_it() -> None:
    assert serial_number("0A:1B:2c") == serial_number("0x0a1b2c") == 0x0A1B2C
    for text in ("", "0", "xyz", "-1", "a" * 41):
        with pytest.raises(UsageError, match="is no serial number"):
            serial_number(text)
