"""ZPL: no program that draws it can be had from an index, so its grammar is read back here.

The reader below knows only what Zebra's manual says of ^FH: _ and two hex digits are a byte.
"""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstlight.errors import UsageError
from firstlight.labels import codes, rendered
from firstlight.labels.label import Label
from firstlight.labels.layout import Line
from firstlight.labels.template import DEFAULT, parse
from firstlight.labels.zpl import PrinterCode, zpl
from tests.labels.reading import registration_ids

COMMAND = re.compile(r"[\^~]([A-Z@][A-Z0-9@])([^^~]*)")


def commands(text: str) -> list[tuple[str, str]]:
    """What a printer would do: each command with its parameters, line ends left out."""
    found = COMMAND.findall(text.replace("\n", ""))
    assert "".join(f"^{name}{rest}" for name, rest in found) == text.replace("\n", "")
    return found


def field(data: str) -> str:
    """A field's bytes after ^FH."""
    raw = re.sub(rb"_([0-9A-F]{2})", lambda match: bytes([int(match[1], 16)]), data.encode())
    return raw.decode()


def label_of(unit: Label, template: str = DEFAULT) -> list[tuple[str, str]]:
    [(name, data)] = rendered([unit], ["zpl"], parse(template))
    assert name.endswith(".zpl")
    return commands(data.decode("ascii"))


def test_a_label_is_one_format_from_xa_to_xz() -> None:
    unit = Label("esp32-a1b2c3d4e5f6", "Pump 7", made="2026-11-22")
    assert label_of(unit) == [
        ("XA", ""), ("CI", "28"), ("PW", "400"), ("LL", "200"), ("LH", "0,0"),
        ("FO", "22,34"), ("BX", "N,7,200,,,,|"), ("FH", "_"), ("FD", "esp32-a1b2c3d4e5f6"),
        ("FS", ""),
        ("FO", "176,24"), ("A0", "N,22"), ("FH", "_"), ("FD", "esp32-a1b2c3d4e5f6"), ("FS", ""),
        ("FO", "176,136"), ("A0", "N,18"), ("FH", "_"), ("FD", "Pump 7"), ("FS", ""),
        ("FO", "176,172"), ("A0", "N,16"), ("FH", "_"), ("FD", "2026-11-22"), ("FS", ""),
        ("PQ", "1"), ("XZ", ""),
    ]  # fmt: skip


@given(st.text(min_size=1, max_size=60).filter(str.isprintable))
def test_nothing_in_a_text_becomes_a_command(text: str) -> None:
    code = PrinterCode("datamatrix", "a1", 0, 0, 4)
    found = commands(zpl((50, 25), 8, code, [Line(text, 1, 2, 3)]))
    assert [name for name, _ in found] == [
        "XA", "CI", "PW", "LL", "LH", "FO", "BX", "FH", "FD", "FS",
        "FO", "A0", "FH", "FD", "FS", "PQ", "XZ",
    ]  # fmt: skip
    assert field(found[-4][1]) == text


@given(st.text("^~_\\|!$%,:;a1 ", min_size=1, max_size=60), st.sampled_from(["qr", "datamatrix"]))
def test_nothing_in_a_code_becomes_a_command_or_an_escape(content: str, kind: str) -> None:
    found = commands(zpl((50, 25), 8, PrinterCode(kind, content, 1, 2, 4), []))
    assert [name for name, _ in found[5:]] == [
        "FO", "BQ" if kind == "qr" else "BX", "FH", "FD", "FS", "PQ", "XZ",
    ]  # fmt: skip
    data = field(found[8][1])
    if kind == "qr":
        assert data == f"MA,{content}"
    else:
        escape = found[6][1].removeprefix("N,4,200,,,,")
        assert len(escape) == 1
        assert escape not in content + "^~,_"
        assert data == content


@given(registration_ids(), st.sampled_from(["qr", "datamatrix"]), st.sampled_from([6, 8, 12, 24]))
def test_the_code_fits_its_place_in_whole_dots(name: str, kind: str, dpmm: int) -> None:
    text = DEFAULT.replace('"datamatrix"', f'"{kind}"').replace("dpmm = 8", f"dpmm = {dpmm}")
    found = label_of(Label(name), text)
    x, y = map(int, found[5][1].split(","))
    parameters = found[6][1].split(",")
    module = int(parameters[2] if kind == "qr" else parameters[1])
    side = codes.printed_side(kind, name) * module
    quiet = codes.QUIET[kind] * module
    assert module >= 0.25 * dpmm
    assert min(x, y) >= quiet
    assert max(x - round(1 * dpmm), y - round(2.5 * dpmm)) + side + quiet <= 20 * dpmm


def test_a_printer_whose_dots_are_too_coarse_is_refused() -> None:
    tight = DEFAULT.replace("size = 20 ", "size = 7 ")
    assert label_of(Label("esp32-a1b2c3d4e5f6"), tight.replace("dpmm = 8", "dpmm = 24"))
    with pytest.raises(UsageError, match=r"code\.size is too small"):
        label_of(Label("esp32-a1b2c3d4e5f6"), tight.replace("dpmm = 8", "dpmm = 6"))


def test_what_a_printers_code_cannot_hold_is_refused() -> None:
    text = DEFAULT.partition("[[text]]")[0].replace('"datamatrix"', '"qr"')
    text = text.replace('"{registration_id}"', '"{product}"')
    with pytest.raises(UsageError, match="beyond ASCII"):
        label_of(Label("a1", "ポンプ"), text)
