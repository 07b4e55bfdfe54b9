"""The template's file: whatever is wrong in it is named."""

from pathlib import Path

import pytest

from firstlight.errors import UsageError
from firstlight.labels.template import DEFAULT, load, parse

SMALL = """
[label]
width = 30
height = 15
[code]
size = 14
"""


def test_the_template_to_start_from_is_one() -> None:
    template = parse(DEFAULT)
    assert (template.width_mm, template.height_mm, template.dpmm) == (50, 25, 8)
    assert [text.name for text in template.texts] == ["text[1]", "text[2]", "text[3]"]
    assert template.sheet is not None


def test_little_has_to_be_said() -> None:
    template = parse(SMALL)
    assert (template.code.kind, template.code.content) == ("datamatrix", "{registration_id}")
    assert (template.texts, template.sheet, template.font) == ((), None, None)


@pytest.mark.parametrize(
    ("extra", "problem"),
    [
        ("colour = 1", "template's code.colour is no field"),
        ("kind = 'aztec'", "template's code.kind must be datamatrix or qr"),
        ("x = 17", "template's code.size does not fit a label of 30 x 15 mm"),
        ("y = -1", "template's code.y must be from 0 to 1000 mm"),
        ("y = nan", "template's code.y must be from 0"),
        ("y = true", "template's code.y must be a number of millimetres"),
        ("module = 0", "template's code.module must be from 0.05"),
        ("content = 7", "template's code.content must be a text"),
        ("content = ''", "template's code.content must be a text"),
        ("content = '{id'", "template's code.content has a brace"),
        ("[codes]", "template's codes is no table of it"),
        ("[text]", r"template's text must be at most 32 \[\[text\]\] tables"),
        ("[[text]]\ntext = 'x'\ny = 14", r"template's text\[1\].size does not fit .* 15 mm high"),
        ("[[text]]\ntext = 'x'\nx = 29\nwidth = 2", r"template's text\[1\].width does not fit"),
        ("[[text]]\nx = 1", r"template's text\[1\].text must be a text"),
        ("[[text]]\ntext = 'x'\nsmallest = 4", r"text\[1\].smallest is larger than its size"),
        ("[[text]]\ntext = 'x'\nlines = 0", r"text\[1\].lines must be a whole number from 1 to"),
        ("[sheet]\ncolumns = 8\nrows = 1", "sheet.columns end at 240 mm, beyond"),
        ("[sheet]\ncolumns = 7\nrows = 20", "sheet.rows end at 300 mm, beyond"),
        ("[sheet]\nrows = 20", "sheet.columns must be a whole number"),
        ("size = 14", "the template is not TOML"),
        pytest.param(f"x = {'9' * 5000}", "the template is not TOML", id="a long number"),
        ('"\\u001b[2J" = 1', r"template's code.\\x1b\[2J is no field"),
    ],
)
def test_what_is_wrong_is_named(extra: str, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        parse(SMALL + extra)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "template's label must be a table"),
        ("[label]\nwidth = 9\nheight = 9", "template's code must be a table"),
        ("[label]\nheight = 9\n[code]\nsize = 5", "template's label.width must be a number"),
        (SMALL.replace("[code]", "dpmm = 10\n[code]"), "label.dpmm must be 6, 8, 12 or 24"),
    ],
)
def test_what_is_missing_is_named(text: str, problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        parse(text)


def test_a_file_that_is_no_template_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "label.toml"
    with pytest.raises(UsageError, match="cannot be read: No such file"):
        load(path)
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="it is not text"):
        load(path)
    path.write_bytes(b"#" * 65537)
    with pytest.raises(UsageError, match="too long"):
        load(path)


def test_a_font_is_looked_for_beside_the_template(tmp_path: Path) -> None:
    path = tmp_path / "label.toml"
    path.write_text(SMALL.replace("[code]", 'font = "a.ttf"\n[code]'))
    assert load(path).font == tmp_path / "a.ttf"
