"""groupkey.py and pkcs11uri.py: which key a source means, and that nobody sees it."""

import io
import os
import sys
from contextlib import suppress
from pathlib import Path
from threading import Event
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from firstlight import keys
from firstlight.cli.keys import keys as keys_verb
from firstlight.custody import Custody, write_private
from firstlight.errors import ToolError, UsageError
from firstlight.groupkey import (
    MODULE_VARIABLE,
    MemoryKey,
    open_group_key,
    put_into_token,
    reads_standard_input,
)
from firstlight.pkcs11uri import TokenURI, parse

G = "8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw=="
NOTHING = Custody({}, None)


def test_a_key_in_memory_derives_and_does_not_show_itself() -> None:
    key = open_group_key("-", "the group key", Custody({}, io.StringIO(G + "\n")))
    assert key.derive("my-device-01") == "i0eNaxR9P2qCHaK3RkHpn3erozYVBcdCwAsiEzQHCM4="
    assert G[:8] not in f"{key} {key!r} {vars(MemoryKey)}"
    assert not hasattr(key, "__dict__")


def test_a_fingerprint_tells_keys_apart_and_is_no_part_of_one() -> None:
    found = {keys.fingerprint(key) for key in (G, "A" * 43 + "=", "B" * 42 + "A=")}
    # By openssl: the HMAC of "firstlight key fingerprint" under G, hashed, its first 8 bytes.
    assert len(found) == 3
    assert keys.fingerprint(G) == "1ab90fe3f9545562"
    with pytest.raises(UsageError):
        keys.registration_id(keys.FINGERPRINT_TEXT.decode())


def test_what_a_wrong_key_is_called() -> None:
    with pytest.raises(UsageError, match="the secondary group key") as caught:
        open_group_key("env:K", "the secondary group key", Custody({"K": G[:-1]}, None))
    assert G[:-1] not in str(caught.value)


def test_the_uri_that_gnutls_prints_is_understood() -> None:
    printed = (
        "pkcs11:model=SoftHSM%20v2;manufacturer=SoftHSM%20project;serial=b0174684938113a1;"
        "token=line%201;id=%01%ff;object=group-1;type=secret-key"
    )
    assert parse(printed) == TokenURI(
        token="line 1",
        serial="b0174684938113a1",
        manufacturer="SoftHSM project",
        model="SoftHSM v2",
        object="group-1",
        id=b"\x01\xff",
    )


def test_a_query_says_where_the_library_and_the_pin_are() -> None:
    uri = parse(
        "pkcs11:slot-id=7;id=%01?module-path=/usr/lib/p11.so&pin-source=keyring:line%201/pin"
    )
    assert (uri.slot_id, uri.module_path) == (7, "/usr/lib/p11.so")
    assert uri.pin_source == "keyring:line 1/pin"
    assert "keyring" not in repr(uri)


@given(st.text(min_size=1).filter(str.isprintable), st.binary(min_size=1, max_size=64))
def test_any_label_and_any_id_can_be_named(label: str, key_id: bytes) -> None:
    uri = parse(f"pkcs11:token={quote(label, safe='')};id={quote(key_id, safe='')}")
    assert (uri.token, uri.id) == (label, key_id)


@pytest.mark.parametrize(
    ("uri", "text"),
    [
        ("object=a;token=b;token=c", "has token twice"),
        ("object=a;colour=red", "'colour', which is not known"),
        ("object=a?pin-source=-&pin-source=-", "has pin-source twice"),
        ("object=a?token=b", "come before the"),
        ("object=a;pin-source=-", "come before the"),
        ("token=b", "must name the key"),
        ("", "must name the key"),
        ("object=", "no proper value for object"),
        ("object", "no proper value for object"),
        ("object=a%2", "no proper value for object"),
        ("object=%ff", "object is not text"),
        ("object=a%0a", "cannot be shown"),
        ("object=a;slot-id=x", "slot-id is not a number"),
        ("object=a;slot-id=" + "9" * 99, "slot-id is not a number"),
        ("object=a;type=private", "a secret key"),
        ("object=" + "a" * 3000, "more than 2048"),
    ],
)
def test_a_wrong_uri_is_refused(uri: str, text: str) -> None:
    with pytest.raises(UsageError, match=text):
        parse("pkcs11:" + uri)


@pytest.mark.parametrize("where", ["object=a?pin-value=271828", "object=a;pin-value=271828"])
def test_a_pin_in_the_uri_is_refused_and_not_shown(where: str) -> None:
    with pytest.raises(UsageError, match="pin-value is refused") as caught:
        parse("pkcs11:" + where)
    assert "271828" not in str(caught.value)


def test_a_pin_in_place_of_its_source_is_not_shown() -> None:
    source = "pkcs11:object=a?module-path=/lib/p11.so&pin-source=271828"
    with pytest.raises(UsageError, match="the token's PIN must be named by where") as caught:
        open_group_key(source, "the group key", NOTHING)
    assert "271828" not in str(caught.value)


@given(st.text())
def test_any_text_is_a_uri_or_a_usage_error(text: str) -> None:
    with suppress(UsageError):
        parse("pkcs11:" + text)


def test_which_sources_take_a_line_of_standard_input() -> None:
    sources = ["-", "pkcs11:object=a?pin-source=-", "pkcs11:object=a", "file:-"]
    assert [reads_standard_input(source) for source in sources] == [True, True, False, False]


def test_one_line_of_standard_input_is_not_taken_for_two_things() -> None:
    for source in ("-", "pkcs11:object=a?pin-source=-"):
        words = ["derive", "--ids", "-", "--group-key", source]
        with pytest.raises(UsageError, match="cannot give both the ids and a key"):
            keys_verb.main(words, standalone_mode=False)


def test_a_fingerprint_is_printed_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_private(tmp_path / "group.key", G + "\n")
    words = ["fingerprint", "--group-key", f"file:{tmp_path}/group.key"]
    keys_verb.main(words, standalone_mode=False)
    assert capsys.readouterr().out == "1ab90fe3f9545562\n"


def test_without_the_package_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pkcs11", None)  # as if it were not installed
    for name in ("pkcs11token", "pkcs11errors"):
        monkeypatch.delitem(sys.modules, f"firstlight.{name}", raising=False)
    with pytest.raises(UsageError, match=r"pip install 'firstlight\[pkcs11\]'"):
        open_group_key("pkcs11:object=a", "the group key", NOTHING)


def test_without_a_library_it_is_asked_for() -> None:
    for env, text in (
        ({}, f"or set {MODULE_VARIABLE}"),
        ({MODULE_VARIABLE: "p11.so"}, "no PKCS#11 library at 'p11.so': name the whole path"),
        ({MODULE_VARIABLE: "/p11\0.so"}, "no PKCS#11 library at"),
    ):
        with pytest.raises(UsageError, match=text):
            open_group_key("pkcs11:object=a", "the group key", Custody(env, None))


def test_only_a_token_can_be_given_a_key_to_keep() -> None:
    with pytest.raises(UsageError, match="must be named by a URI"):
        put_into_token(G, "file:group.key", NOTHING)


def test_the_last_try_of_a_pin_is_not_spent() -> None:
    from pkcs11 import TokenFlag  # noqa: PLC0415  an extra

    from firstlight.pkcs11errors import refuse_last_try, wrong_pin  # noqa: PLC0415

    refuse_last_try(TokenFlag.USER_PIN_COUNT_LOW, "line")
    with pytest.raises(UsageError, match="one try left before it locks, which is not spent"):
        refuse_last_try(TokenFlag.USER_PIN_FINAL_TRY, "line")
    with pytest.raises(UsageError, match="has locked its PIN"):
        refuse_last_try(TokenFlag.USER_PIN_LOCKED, "line")
    assert "one try is left" in wrong_pin(TokenFlag.USER_PIN_FINAL_TRY, "line")
    assert "is locked now" in wrong_pin(TokenFlag.USER_PIN_LOCKED, "line")


def test_what_the_library_refuses_is_one_sentence() -> None:
    from pkcs11 import exceptions as refusals  # noqa: PLC0415  an extra

    from firstlight.pkcs11errors import told  # noqa: PLC0415

    for error, kind, text in (
        (refusals.DeviceRemoved, ToolError, "is gone .DeviceRemoved.; put it back"),
        (refusals.MechanismInvalid, UsageError, "does not compute HMAC-SHA256"),
        (refusals.PinLocked, UsageError, "its security officer"),
        (refusals.GeneralError, ToolError, "fails .GeneralError.; see that it is plugged in"),
    ):
        with pytest.raises(kind, match=text) as caught, told("line"):
            raise error("a text of the library's")
        assert "a text of" not in str(caught.value)


def test_a_library_that_hangs_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    from firstlight import pkcs11session  # noqa: PLC0415  an extra

    monkeypatch.setattr(pkcs11session, "_PATIENCE_S", 0.05)
    clerk, released = pkcs11session._Clerk(), Event()
    try:
        with pytest.raises(ToolError, match=r"'line' has not answered for .* pull it out"):
            clerk.ask(released.wait, "line")
        with pytest.raises(ToolError, match="has not answered"):
            clerk.ask(lambda: pytest.fail("given up before its turn came"), "line")
    finally:
        released.set()
    monkeypatch.setattr(pkcs11session, "_PATIENCE_S", 30.0)
    assert clerk.ask(os.getpid, "line") == os.getpid()
