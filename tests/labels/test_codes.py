"""Both kinds of code, read back by zxing-cpp: from PNG, and from PDF as PDFium draws it."""

import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firstlight.errors import UsageError
from firstlight.labels import codes, pdf, rendered
from firstlight.labels.label import Label
from firstlight.labels.png import png
from firstlight.labels.template import DEFAULT, Template, parse
from tests.labels.reading import codes_in_png, codes_on, pages, registration_ids

KINDS = ("qr", "datamatrix")
PRINTABLE = "".join(sorted(set(string.printable) - set(string.whitespace))) + " "


def of_kind(kind: str) -> Template:
    return parse(DEFAULT.replace('kind = "datamatrix"', f'kind = "{kind}"'))


@pytest.mark.parametrize("kind", KINDS)
@given(registration_ids())
@settings(max_examples=60)
def test_a_png_says_the_registration_id(kind: str, name: str) -> None:
    [(_, data)] = rendered([Label(name)], [f"{kind}.png"])
    assert codes_in_png(data, kind) == [name]


@pytest.mark.parametrize("kind", KINDS)
@given(registration_ids())
@settings(max_examples=15)
def test_a_pdf_says_the_registration_id(kind: str, name: str) -> None:
    [page] = pages(pdf.roll([Label(name, "Pump 7")], of_kind(kind)))
    assert codes_on(page, kind) == [name]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", ["a", "0" * 128, "z" * 128, "a" + "_" * 126 + "-"])
def test_the_shortest_and_the_longest_ids_can_be_read(kind: str, name: str) -> None:
    [(_, data)] = rendered([Label(name)], [f"{kind}.png"])
    assert codes_in_png(data, kind) == [name]
    [page] = pages(pdf.roll([Label(name)], of_kind(kind)))
    assert codes_on(page, kind) == [name]


@pytest.mark.parametrize("kind", KINDS)
@given(st.text(PRINTABLE, min_size=1, max_size=200))
@settings(max_examples=60)
def test_any_printable_ascii_can_be_in_a_code(kind: str, text: str) -> None:
    assert codes_in_png(png(codes.modules(kind, text), codes.QUIET[kind]), kind) == [text]


@given(st.text(PRINTABLE, min_size=1, max_size=200))
@settings(max_examples=40)
def test_a_printer_that_encodes_plainly_needs_no_smaller_code_than_ours(text: str) -> None:
    assert codes.printed_side("datamatrix", text) >= len(codes.modules("datamatrix", text))


def test_a_qr_code_holds_other_letters_than_ascii() -> None:
    made = png(codes.modules("qr", "ポンプ 7"), 4)
    assert codes_in_png(made, "qr") == ["ポンプ 7"]


def test_what_a_code_cannot_hold_is_refused() -> None:
    with pytest.raises(UsageError, match="beyond ASCII"):
        codes.modules("datamatrix", "ポンプ")
    for kind in KINDS:
        with pytest.raises(UsageError, match=r"code\.content gives 4000 characters: too many"):
            codes.modules(kind, "~" * 4000)
        with pytest.raises(UsageError, match="would be empty"):
            codes.modules(kind, "")
