"""chain.py and rules.py: what an entry is, what ties it to the others, and what may be in it."""

import base64
from dataclasses import replace
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstlight.errors import UsageError
from firstlight.record import chain, rules
from firstlight.record.chain import Broken, Entry

GENESIS = (0, chain.genesis("00ff", "2026-11-22T14:00:00Z", 1))
SAID: dict[str, Any] = {
    "at": "2026-11-22T14:04:01.250Z",
    "station": "Süd",
    "seat": "1-1.2",
    "chip_id": "a1b2",
    "registration_id": "lamp-1",
    "stage": "flash",
    "outcome": "done",
    "facts": {"image": "ab", "board": "VIRTUAL"},
    "once": "c0",
}
KEY = base64.b64encode(sha256(b"a key").digest()).decode()
LONG_KEY = base64.b64encode(sha256(b"1").digest() + sha256(b"2").digest()).decode()


def made(count: int) -> list[Entry]:
    entries: list[Entry] = []
    head = GENESIS
    for number in range(count):
        entries.append(chain.sealed(head, SAID | {"once": f"{number:02}"}))
        head = entries[-1].number, entries[-1].digest
    return entries


def test_the_digest_is_of_the_documented_bytes() -> None:
    entry = chain.sealed((6, "0a"), SAID)
    text = (
        '{"at":"2026-11-22T14:04:01.250Z","chip_id":"a1b2",'
        '"facts":{"board":"VIRTUAL","image":"ab"},"number":7,"once":"c0","outcome":"done",'
        '"previous":"0a","registration_id":"lamp-1","seat":"1-1.2","stage":"flash",'
        '"station":"Süd"}'
    )
    assert entry.digest == sha256(text.encode()).hexdigest()


def test_two_records_have_nothing_in_common() -> None:
    assert (
        chain.genesis("00", "t", 1) != chain.genesis("01", "t", 1) != chain.genesis("01", "t", 2)
    )


def test_a_row_gives_its_entry_back() -> None:
    (entry,) = made(1)
    assert chain.from_row(chain.to_row(entry)) == entry


@pytest.mark.parametrize(
    ("change", "number", "wrong"),
    [
        (lambda them: them[:2] + them[3:], 3, "missing"),
        (lambda them: them[1:], 1, "missing"),
        (lambda them: [*them[:2], them[1], *them[2:]], 2, "another has"),
        (lambda them: [them[0], replace(them[1], number=3), *them[2:]], 2, "missing"),
        (lambda them: [them[1], them[0]], 1, "missing"),
        (lambda them: [*them[:2], replace(them[2], facts={})], 3, "changed"),
        (lambda them: [*them[:2], chain.sealed((2, "00"), SAID), *them[3:]], 3, "forged"),
        (lambda them: [chain.sealed(GENESIS, SAID), *them[1:]], 2, "forged"),
        (lambda them: [replace(them[0], number=-1), *them], -1, "no entry has"),
    ],
)
def test_what_is_wrong_with_a_chain_is_told_of_its_first_entry(
    change: Any, number: int, wrong: str
) -> None:
    with pytest.raises(Broken, match=wrong) as caught:
        list(chain.follow(change(made(4)), GENESIS))
    assert caught.value.number == number


def test_a_chain_of_another_record_is_not_taken_over() -> None:
    with pytest.raises(Broken, match="entry 1 does not follow from the record's own id"):
        list(chain.follow(made(2), (0, "another")))


_ANY = st.one_of(st.text(), st.integers(), st.binary(), st.none(), st.floats())


@given(field=st.sampled_from(sorted(chain.to_row(made(1)[0]))), value=_ANY)
def test_no_field_of_a_row_can_be_anything_else(field: str, value: object) -> None:
    row = chain.to_row(made(1)[0])
    if row[field] == value and type(row[field]) is type(value):
        return
    with pytest.raises(Broken):
        list(chain.follow([chain.from_row(row | {field: value})], GENESIS))


@pytest.mark.parametrize(
    "facts",
    [
        "",
        "{",
        "[]",
        '{ "board":"VIRTUAL"}',
        '{"a":"\\ud800"}',
        '{"a":5}',
        '{"a":["b"]}',
        '{"a":NaN}',
        "[" * 100_000,
    ],
)
def test_facts_in_another_form_are_a_change(facts: str) -> None:
    with pytest.raises(Broken, match="facts"):
        chain.from_row(chain.to_row(made(1)[0]) | {"facts": facts})


@pytest.mark.parametrize(
    "text",
    [
        KEY,
        LONG_KEY,
        KEY.rstrip("="),
        f"key={KEY}",
        f"esp32-1-{KEY}",
        f"it said {LONG_KEY}, and stopped",
        base64.b64encode(b"sixteen bytes ok").decode(),
        "SharedAccessSignature sr=x",
        "HostName=h;sharedaccesskey=x",
        "sr=a&SIG=b",
        "-----BEGIN EC PRIVATE KEY-----",
        "password=hunter2",
    ],
)
def test_what_may_be_a_key_is_refused_and_not_repeated(text: str) -> None:
    for field, seat, facts in (("the fact error", "", {"error": text}), ("seat", text, {})):
        with pytest.raises(UsageError, match=f"{field} looks like a key") as caught:
            rules.entry("flash", "failed", seat, "", "", facts)
        assert text not in str(caught.value)
    assert text not in rules.fitting(f"an error: {text}")


@pytest.mark.parametrize("text", [KEY, LONG_KEY, KEY.rstrip("="), f"a,{KEY}"])
def test_what_may_be_a_key_is_left_out_of_what_is_shown(text: str) -> None:
    shown = rules.veiled(f"Invalid value: '{text}' is no number.\n")
    assert shown.endswith("***' is no number.\n")
    assert KEY[:20] not in shown
    assert rules.veiled(shown) == shown


@pytest.mark.parametrize(
    "text",
    [
        "",
        sha256(b"an image").hexdigest(),
        sha256(b"an image").hexdigest().upper(),
        "/home/Anna/Projects/Line2/firmware/ESP32_GENERIC-20260824-v1.29.0.bin",
        "https://micropython.org/resources/firmware/ESP32_GENERIC_S3-20260824-v1.29.0.bin",
        "HTTPSConnectionPool: NewConnectionError, ConnectTimeoutError and MaxRetryError",
        "C:\\Users\\Anna\\AppData\\Local\\Programs\\Python\\Python311\\Scripts\\esptool",
        "usb-Silicon_Labs_CP2102N_USB_to_UART_Bridge_Controller_0001-if00-port0",
        "3-1.4.2:1.0 / A fatal error occurred: Failed to connect to ESP32: No serial data",
    ],
)
def test_what_is_no_key_is_taken(text: str) -> None:
    assert rules.entry("flash", "done", "", "", "", {"note": text})["facts"] == {"note": text}
    assert rules.fitting(text) == text


@given(st.binary(min_size=32, max_size=64))
def test_every_padded_key_is_seen(key: bytes) -> None:
    text = base64.b64encode(key).decode()
    assert not text.endswith("=") or rules.looks_secret(text)


@given(st.text(max_size=1200))
def test_any_text_can_be_made_to_fit(text: str) -> None:
    fitted = rules.fitting(text)
    assert rules.entry("flash", "failed", "", "", "", {"error": fitted})["facts"] == {
        "error": fitted
    }


@pytest.mark.parametrize(
    "wrong",
    [
        {"stage": ""},
        {"stage": "Flash"},
        {"stage": "x" * 41},
        {"stage": "flash\n"},
        {"outcome": "maybe"},
        {"seat": "a\tb"},
        {"seat": "x" * 201},
        {"chip_id": "A1B2"},
        {"chip_id": "a1b"},
        {"chip_id": "a1" * 33},
        {"registration_id": "Lamp"},
        {"facts": {str(number): "" for number in range(33)}},
        {"facts": {"Key": "x"}},
        {"facts": {"x": "e" * 501}},
        {"facts": {"x": 7}},
        {"facts": {"x": "\udc80"}},
    ],
)
def test_what_may_not_be_in_an_entry_is_refused(wrong: dict[str, Any]) -> None:
    right = {"seat": "", "chip_id": "", "registration_id": "", "facts": {}}
    said = {"stage": "flash", "outcome": "done"} | right | wrong
    with pytest.raises(UsageError):
        rules.entry(*said.values())


@pytest.mark.parametrize("name", ["", "x" * 65, "a\nb", KEY])
def test_a_station_has_a_plain_name(name: str) -> None:
    with pytest.raises(UsageError, match="station"):
        rules.station(name)
