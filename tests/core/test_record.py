"""record.py: a power cut at any byte leaves a record that reads as absent."""

from aziot import record

VALUE = {"hub": "h.example", "device_id": "d", "n": 1}


def test_a_record_reads_back():
    assert record.unpack(record.pack(VALUE)) == VALUE


def test_a_record_cut_anywhere_is_absent():
    raw = record.pack(VALUE)
    for size in range(len(raw)):
        assert record.unpack(raw[:size]) is None


def test_a_record_with_any_bit_flipped_is_absent():
    raw = record.pack(VALUE)
    for i in range(len(raw)):
        flipped = bytearray(raw)
        flipped[i] ^= 0x10
        assert record.unpack(bytes(flipped)) is None


def test_nothing_and_foreign_bytes_are_absent():
    for raw in (None, b"", b"\x00" * 64, b"\xff" * 64, b"00000000", b"{}"):
        assert record.unpack(raw) is None


def test_only_an_object_is_a_record():
    for value in (5, [1], "text", None):
        assert record.unpack(record.pack(value)) is None


def test_a_record_half_of_an_older_one_is_absent():
    old = record.pack(VALUE)
    new = record.pack(VALUE | {"n": 2})
    for size in range(9, len(old)):
        mixed = new[:size] + old[size:]
        assert record.unpack(mixed) == (VALUE | {"n": 2} if mixed == new else None)


def test_a_record_with_something_after_it_is_absent():
    raw = record.pack(VALUE)
    for tail in (b"\x00", b"\xff" * 9, b" ", raw):
        assert record.unpack(raw + tail) is None
