"""keys.py against protocol.md 4, the board's arithmetic, and the article's openssl pipeline."""

import base64
import subprocess
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aziot import sas
from firstlight import keys
from firstlight.errors import UsageError

G = "8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw=="
SN = "sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6"


def test_the_published_derived_key() -> None:
    assert keys.derive(G, SN) == "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc="


def test_upper_case_is_refused_and_the_right_id_is_named() -> None:
    with pytest.raises(UsageError, match=f"did you mean {SN}"):
        keys.derive(G, SN.upper())


def test_a_derived_key_is_the_one_that_openssl_gives(program: Callable[[str], str]) -> None:
    hexkey = base64.b64decode(G).hex()
    done = subprocess.run(
        [program("openssl"), "sha256", "-mac", "HMAC", "-macopt", f"hexkey:{hexkey}", "-binary"],
        input=SN.encode(),
        capture_output=True,
        check=True,
    )
    assert base64.b64encode(done.stdout).decode() == keys.derive(G, SN)


def test_tokens_are_the_vectors() -> None:
    key = keys.derive(G, SN)
    assert keys.token(f"0ne00111111/registrations/{SN}", key, 1700003600, "registration") == (
        f"SharedAccessSignature sr=0ne00111111%2Fregistrations%2F{SN}"
        "&sig=9afKwVqgmuHuoQ3FIsufK9YjR2ViBsB1kkUdCNoX4lo%3D&se=1700003600&skn=registration"
    )
    policy_key = (
        "18RQk/hOPJR9EbsJlk2j8WA6vWaj/yi+oaYg7zmxfQNdOyMSu+SJ8O7TSlZhDJCYmn4rzEiVKIzNiVAWjLxrGA=="
    )
    host = "my-dps.azure-devices-provisioning.net"
    assert keys.token(host, policy_key, 1700003600, "provisioningserviceowner") == (
        f"SharedAccessSignature sr={host}&sig=9dScZfRODP6ZJZ%2BJETju8UCIRrEoEOIqAm09z9F8Vpo%3D"
        "&se=1700003600&skn=provisioningserviceowner"
    )


@given(st.text(), st.binary(min_size=16, max_size=64), st.integers(0, 2**40))
def test_host_and_board_make_the_same_token(resource: str, key: bytes, expires_at: int) -> None:
    try:
        resource.encode()
    except UnicodeEncodeError:
        return
    key_b64 = base64.b64encode(key).decode()
    assert keys.token(resource, key_b64, expires_at) == sas.token(resource, key_b64, expires_at)


def test_a_file_of_ids_may_have_comments_and_empty_lines() -> None:
    lines = ["# tray 7", "", "esp32-1  # first", "esp32-2\n"]
    assert list(keys.registration_ids(lines)) == ["esp32-1", "esp32-2"]


def test_a_wrong_id_in_a_file_is_named_by_its_line() -> None:
    with pytest.raises(UsageError, match=r"line 2: 'Esp 2' is refused"):
        list(keys.registration_ids(["esp32-1", "Esp 2"]))


@pytest.mark.parametrize("line", [f"esp32-1,{G}", f"esp32-1 {G[:30]}", G, f"{G}\udcff"])
def test_a_table_with_the_keys_taken_for_one_of_ids_shows_none(line: str) -> None:
    with pytest.raises(UsageError, match="line 1: a text that may hold a key") as caught:
        list(keys.registration_ids([line]))
    assert G[:20].lower() not in str(caught.value).lower()


def test_an_id_that_comes_twice_is_refused() -> None:
    with pytest.raises(UsageError, match="line 3: a is there twice, first on line 1"):
        list(keys.registration_ids(["a", "b", "a"]))


@pytest.mark.parametrize("key", ["", "c2hvcnQ=", G[:-1], G + G, "AAAA" * 4])
def test_a_wrong_key_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(UsageError) as caught:
        keys.derive(key, "a")
    assert "the group key" in str(caught.value)
    assert not key or key not in str(caught.value)
