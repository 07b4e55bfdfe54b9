"""What may stand on a label: its fields, and nothing that nobody may read."""

import pytest

from firstlight.errors import UsageError
from firstlight.labels.label import Label, checked_pattern

UNIT = Label("esp32-a1b2c3d4e5f6", "Pump 7", "a1b2c3d4e5f6", "2026-11-22", {"batch": "B 12"})


def test_the_code_says_the_registration_id_if_nothing_else_is_wanted() -> None:
    assert UNIT.content() == "esp32-a1b2c3d4e5f6"


def test_every_field_can_be_filled_in() -> None:
    pattern = "{product}|{chip_id}|{made}|{batch}|{{{registration_id}}}"
    assert UNIT.content(pattern) == ("Pump 7|a1b2c3d4e5f6|2026-11-22|B 12|{esp32-a1b2c3d4e5f6}")


def test_a_value_is_never_a_pattern() -> None:
    assert Label("a1", "{chip_id}", "secret").content("{product}") == "{chip_id}"


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("{serial}", r"names \{serial\}, but this label has: registration_id, product"),
        ("{product.__class__}", "has a brace that belongs to no"),
        ("{}", "has a brace that belongs to no"),
        ("{product", "has a brace that belongs to no"),
        ("product}", "has a brace that belongs to no"),
    ],
)
def test_a_wrong_field_is_named(pattern: str, problem: str) -> None:
    with pytest.raises(UsageError, match=f"the place {problem}"):
        UNIT.content(pattern, "the place")


def test_a_pattern_is_checked_before_there_is_a_label() -> None:
    assert checked_pattern("{anything} at all", "x") == "{anything} at all"
    with pytest.raises(UsageError, match="x has a brace"):
        checked_pattern("{Anything}", "x")


@pytest.mark.parametrize(
    ("text", "shown"),
    [("a\nb", "000A"), ("\x1b[2J", "001B"), ("\u202etxt", "202E"), ("\ud800", "D800")],
)
def test_characters_that_do_not_print_are_refused(text: str, shown: str) -> None:
    with pytest.raises(UsageError, match=f"U\\+{shown}, which cannot be printed"):
        Label("a1", text).content("{product}")


@pytest.mark.parametrize(
    "text",
    [
        "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=",
        "GjaVYVP2g3FnmnmG9dI/9w==",
        "HostName=x;SharedAccessKeyName=y",
        "SharedAccessSignature sr=x",
    ],
)
def test_a_key_never_gets_onto_a_label(text: str) -> None:
    for label in (Label("a1", text), Label("a1", extra={"product_of": text})):
        with pytest.raises(UsageError, match="looks like a key") as refusal:
            label.content("{product} {product_of}" if label.extra else "{product}")
        assert text not in str(refusal.value)


def test_what_only_looks_a_little_like_a_key_is_printed() -> None:
    for text in ("a1b2c3d4e5f6" * 5, "THE QUICK BROWN FOX", "HTTPS://EXAMPLE/UNIT/0123456789ABC"):
        assert Label("a1", text).content("{product}") == text


def test_text_without_an_end_is_refused() -> None:
    with pytest.raises(UsageError, match="longer than 512 characters"):
        Label("a1", "x" * 513).content("{product}")


@pytest.mark.parametrize("name", ["product", "Batch", "", "a b", "x" * 33])
def test_a_field_of_ones_own_has_a_name_of_its_own(name: str) -> None:
    with pytest.raises(UsageError, match="a label cannot have a field"):
        Label("a1", extra={name: "x"}).fields()


def test_a_label_is_for_an_id_that_dps_takes() -> None:
    with pytest.raises(UsageError, match="did you mean esp32-1"):
        Label("ESP32-1").content()
