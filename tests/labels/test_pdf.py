"""Labels as PDF: sheets, rolls, their text, and the same bytes each time."""

from pathlib import Path

import pytest
from PIL import Image

from firstlight.errors import UsageError
from firstlight.labels import pdf
from firstlight.labels.label import Label
from firstlight.labels.template import DEFAULT, parse
from tests.labels.reading import VERA, codes_on, pages, text_of

TRAY = [Label(f"esp32-{number:012x}", "Pump 7", made="2026-11-22") for number in range(32)]


def test_a_sheet_holds_rows_of_labels_and_goes_on_on_the_next() -> None:
    first, second = pages(pdf.sheets(TRAY, parse(DEFAULT)), 200)
    names = [label.registration_id for label in TRAY]
    assert sorted(codes_on(first, "datamatrix")) == names[:30]
    assert sorted(codes_on(second, "datamatrix")) == names[30:]
    assert first.size == pytest.approx((210 / 25.4 * 200, 297 / 25.4 * 200), abs=1)


def test_labels_on_a_sheet_are_where_the_template_says() -> None:
    [page] = pages(pdf.sheets(TRAY[:30], parse(DEFAULT)), 254)  # 10 pixels a millimetre
    assert page.getbbox() is not None
    fifth = page.crop((800, 370, 1300, 620))  # row 2, column 2: 20 + 50 + 10, 10 + 25 + 2 mm
    assert codes_on(fifth, "datamatrix") == [TRAY[4].registration_id]
    between = page.crop((700, 370, 800, 620))
    assert between.getextrema() == (255, 255)


def test_a_roll_has_one_label_to_a_page() -> None:
    drawn = pages(pdf.roll(TRAY[:3], parse(DEFAULT)))
    read = [codes_on(page, "datamatrix") for page in drawn]
    assert read == [[label.registration_id] for label in TRAY[:3]]


def test_the_same_labels_are_the_same_bytes() -> None:
    assert pdf.sheets(TRAY, parse(DEFAULT)) == pdf.sheets(TRAY, parse(DEFAULT))
    text = DEFAULT.replace('# font = "DejaVuSans.ttf"', f'font = "{VERA}"')
    assert pdf.roll(TRAY, parse(text)) == pdf.roll(TRAY, parse(text))


def test_the_text_is_on_it_whole() -> None:
    name = "a-b_c." * 21 + "7"
    [text] = text_of(pdf.roll([Label(name, "Ventil für Öl", made="2026-11-22")], parse(DEFAULT)))
    rows = text.splitlines()
    assert "".join(rows[:-2]) == name
    assert rows[-2:] == ["Ventil für Öl", "2026-11-22"]


def test_text_that_does_not_fit_is_refused_not_cut() -> None:
    narrow = DEFAULT.replace("size = 2.2\nlines = 2", "size = 2.2\nsmallest = 2")
    with pytest.raises(UsageError, match=r"text\[2\] is too small for 'A pump with a name that"):
        pdf.roll([Label("a1", "A pump with a name that is longer")], parse(narrow))


def test_a_code_too_small_to_read_is_refused() -> None:
    small = DEFAULT.replace("size = 20 ", "size = 4.9 ")
    with pytest.raises(UsageError, match=r"code\.size is too small for its content: 16 modules"):
        pdf.roll([TRAY[0]], parse(small))


def test_letters_that_a_font_lacks_are_named() -> None:
    with pytest.raises(UsageError, match=r"Helvetica has no ポ \(U\+30DD\); name a TrueType"):
        pdf.roll([Label("a1", "ポンプ")], parse(DEFAULT))
    with pytest.raises(UsageError, match=r"Vera.ttf has no ポ \(U\+30DD\)"):
        pdf.roll([Label("a1", "ポンプ")], parse(DEFAULT.replace("# font", f'font = "{VERA}" #')))
    with pytest.raises(UsageError, match="Helvetica has no ポ"):
        pdf.roll([Label("a1", "ポ")], parse(DEFAULT))


def test_a_font_of_ones_own_prints_its_letters() -> None:
    template = parse(DEFAULT.replace("# font", f'font = "{VERA}" #'))
    [text] = text_of(pdf.roll([Label("a1", "Žluč Ω")], template))
    assert text.splitlines() == ["a1", "Žluč Ω"]


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("none.ttf", "No such file"),
        ("x.ttf", "is not a"),
        ("torn.ttf", "is not a"),
        (r"\u0000", "is not a"),
    ],
)
def test_a_font_that_is_none_is_refused(tmp_path: Path, name: str, problem: str) -> None:
    (tmp_path / "x.ttf").write_bytes(b"no font")
    (tmp_path / "torn.ttf").write_bytes(VERA.read_bytes()[:5000])
    template = parse(DEFAULT.replace("# font", f'font = "{name}" #'), tmp_path)
    with pytest.raises(UsageError, match=f"label.font .*{problem}"):
        pdf.roll([Label("a1")], template)


def test_a_sheet_needs_its_table() -> None:
    with pytest.raises(UsageError, match=r"the template has no \[sheet\]"):
        pdf.sheets(TRAY, parse(DEFAULT.partition("[sheet]")[0]))


def test_nothing_but_the_label_is_drawn() -> None:
    [page] = pages(pdf.roll([Label("a1")], parse(DEFAULT)), 254)
    right: Image.Image = page.crop((220, 100, 500, 250))
    assert right.getextrema() == (255, 255)
