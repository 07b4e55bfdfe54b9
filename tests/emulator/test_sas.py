"""Tokens as the service reads them, against the vectors of protocol.md 4."""

import pytest

from firstlight.emulator import sas
from tests.emulator.peers import token

GROUP = "8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw=="
ID = "sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6"
KEY = "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc="
HEAD = "SharedAccessSignature "
BODY = f"sr=0ne00111111%2Fregistrations%2F{ID}&sig=9afKwVqgmuHuoQ3FIsufK9YjR2ViBsB1kkUdCNoX4lo%3D"


def test_a_device_key_is_derived_as_published() -> None:
    assert sas.derive_key(GROUP, ID) == KEY


@pytest.mark.parametrize(
    "text",
    [
        f"{HEAD}{BODY}&se=1700003600&skn=registration",
        f"{HEAD}{BODY}&se=1700003600",
        f"{HEAD}se=1700003600&skn=registration&{BODY}",
        f"{HEAD}sr=0ne00111111%2fregistrations%2f{ID}"
        "&sig=s5XfwXoApqvKl9CDKj%2B%2F8cv3C2bWN%2Fo%2B3VSOf8IvPZQ%3D&se=1700003600&skn=registration",
    ],
)
def test_every_official_spelling_of_a_token_passes(text: str) -> None:
    parsed = sas.parse(text)
    assert parsed.is_signed_by(KEY)
    assert parsed.resource == f"0ne00111111/registrations/{ID}"
    assert parsed.expires_at == 1700003600


def test_another_key_or_another_expiry_does_not_fit() -> None:
    assert not sas.parse(f"{HEAD}{BODY}&se=1700003600").is_signed_by(GROUP)
    assert not sas.parse(f"{HEAD}{BODY}&se=1700003601").is_signed_by(KEY)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Bearer abc",
        HEAD,
        f"{HEAD}{BODY}",
        f"{HEAD}{BODY}&se=soon",
        f"{HEAD}{BODY}&se=-1",
        f"{HEAD}{BODY}&se=01700003600",
        f"{HEAD}{BODY}&se=²",
        f"{HEAD}{BODY}&se=1700003600&se=1700003600",
        f"{HEAD}{BODY}&se=1700003600&extra=1",
        f"{HEAD}sr=a&sig=9afK+VqgmuHuoQ3FIsufK9YjR2ViBsB1kkUdCNoX4lo%3D&se=1700003600",
        f"{HEAD}sr=a&sig=not%20base64&se=1700003600",
        f"{HEAD}sr=a&sig=%3D&se={'9' * 13}",
        HEAD + "sr=" + "a" * 5000,
    ],
)
def test_what_is_not_a_token_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(sas.BadToken) as caught:
        sas.parse(text)
    assert "9afK" not in str(caught.value)


def test_a_signature_that_was_not_percent_encoded_is_refused() -> None:
    raw = token("a/b", KEY).replace("%3D", "=")
    with pytest.raises(sas.BadToken, match="percent"):
        sas.parse(raw)
