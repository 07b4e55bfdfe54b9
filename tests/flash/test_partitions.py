"""Partition tables: a genuine one, the newer form, and everything that is none."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstlight.errors import UsageError
from firstlight.flash.partitions import Partition, Table, check_application, read
from tests.flash.imagery import STARTS_AT, TABLE, genuine_esp32, with_table, without_vfs

MB = 1 << 20


@pytest.fixture(scope="module")
def genuine() -> bytes:
    return genuine_esp32().read_bytes()


def test_a_genuine_image_says_where_everything_is(genuine: bytes) -> None:
    table = read(genuine, STARTS_AT)
    assert table.partitions == (
        Partition("nvs", 1, 2, 0x9000, 0x6000),
        Partition("phy_init", 1, 1, 0xF000, 0x1000),
        Partition("factory", 0, 0, 0x10000, 0x180000),
        Partition("vfs", 1, 0x81, 0x200000, 0x200000),
    )
    assert table.file_system(4 * MB) == table.find("vfs") == table.get("vfs")
    assert table.find("nvs").end == 0xF000


def test_the_same_table_is_found_in_an_image_that_begins_at_the_flashs_first_byte(
    genuine: bytes,
) -> None:
    assert read(b"\xff" * STARTS_AT + genuine, 0) == read(genuine, STARTS_AT)


@pytest.mark.parametrize(("flash_mb", "size"), [(4, 0x270000), (8, 0x670000), (16, 0xE70000)])
def test_where_the_table_has_no_vfs_it_is_the_rest_of_the_flash(
    genuine: bytes, flash_mb: int, size: int
) -> None:
    table = read(without_vfs(genuine), STARTS_AT)
    assert table.get("vfs") is None
    assert table.file_system(flash_mb * MB) == Partition("vfs", 1, 0x81, 0x190000, size)


def test_what_is_not_there_is_named_with_what_is(genuine: bytes) -> None:
    with pytest.raises(UsageError, match="no 'ota_0', but nvs, phy_init, factory, vfs"):
        read(genuine, STARTS_AT).find("ota_0")


@pytest.mark.parametrize(
    ("partitions", "flash_bytes", "complaint"),
    [
        ([("factory", 0, 0x10000, 4 * MB - 0x10000)], 4 * MB, "no room"),
        ([("factory", 0, 0x10000, 0x10000)], None, "no room"),
        ([("factory", 0, 0x10000, 0x10000), ("ffat", 1, 0x200000, 0x1000)], 4 * MB, "FAT"),
        ([("vfs", 1, 4 * MB, 2 * MB)], 4 * MB, "flash of 6291456 bytes or more"),
        ([("vfs", 0, MB, MB)], 4 * MB, "none that a littlefs"),
        ([("vfs", 1, MB + 512, MB)], 4 * MB, "none that a littlefs"),
        ([("vfs", 1, MB, 0)], 4 * MB, "none that a littlefs"),
    ],
)
def test_a_place_where_no_littlefs_can_lie_is_refused(
    partitions: list[tuple[str, int, int, int]], flash_bytes: int | None, complaint: str
) -> None:
    table = Table(tuple(Partition(name, kind, 0, at, size) for name, kind, at, size in partitions))
    with pytest.raises(UsageError, match=complaint):
        table.file_system(flash_bytes)


@pytest.mark.parametrize("at", [0, 1, 2, 3, 4, 9, 12, 32, 100, 128, 144, 160])
def test_a_damaged_table_is_refused(genuine: bytes, at: int) -> None:
    damaged = bytearray(genuine)
    damaged[TABLE + at] ^= 0x10
    with pytest.raises(UsageError, match="partition table"):
        read(bytes(damaged), STARTS_AT)


def test_an_application_alone_is_refused(genuine: bytes) -> None:
    with pytest.raises(UsageError, match="not the application alone"):
        read(genuine[0xF000:], STARTS_AT)
    with pytest.raises(UsageError, match="not the application alone"):
        read(genuine, 0x10000)


def test_an_image_that_is_cut_off_or_damaged_is_refused(genuine: bytes) -> None:
    table, at = read(genuine, STARTS_AT), 0x10000 - STARTS_AT
    check_application(genuine, STARTS_AT, table)
    check_application(b"\xff" * STARTS_AT + genuine, 0, table)
    for size in (TABLE + 0x1000, at, at + 23, at + 30, 200_000, len(genuine) - 1):
        with pytest.raises(UsageError, match=r"no application|cut off"):
            check_application(genuine[:size], STARTS_AT, table)
    with pytest.raises(UsageError, match="is damaged"):
        check_application(genuine[:-40] + b"?" + genuine[-39:], STARTS_AT, table)


def test_a_table_without_an_end_or_with_a_strange_entry_is_refused(genuine: bytes) -> None:
    entry = genuine[TABLE : TABLE + 32]
    with pytest.raises(UsageError, match="no end"):
        read(genuine[:TABLE] + entry, STARTS_AT)
    with pytest.raises(UsageError, match="outside"):
        read(with_table(genuine, entry[:4] + b"\xff" * 8 + entry[12:]), STARTS_AT)
    with pytest.raises(UsageError, match="label"):
        read(with_table(genuine, entry[:12] + b"\xff" * 16 + entry[28:]), STARTS_AT)


@given(st.binary(max_size=200), st.binary(max_size=400))
def test_any_bytes_are_a_table_or_a_refusal(entry: bytes, table: bytes) -> None:
    """Bytes as they come, and as a table whose MD5 is right."""
    before = bytes(TABLE)
    whole = b"\xaa\x50" + entry.ljust(30, b"\0")[:30] + table
    for data in (table, before + whole, with_table(before, whole)):
        with suppress(UsageError):
            assert read(data, STARTS_AT).file_system(4 * MB).size
