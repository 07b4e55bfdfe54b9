"""A group's key in SoftHSM: what we did not write computes the HMAC, and keeps the key."""

import os
import subprocess
import sys
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pkcs11
import pytest
from pkcs11 import Attribute, KeyType, ObjectClass

from firstlight import keys
from firstlight.custody import Custody
from firstlight.errors import UsageError
from firstlight.groupkey import GroupKey, open_group_key, put_into_token
from tests.interop.softhsm import PIN, SoftHSM, loaded
from tests.leaks import find_secrets

G = "8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw=="
CONTOSO = (
    "G3vn0IZH9oK3d4wsxFpWBtd2KUrtjI+39dZVRf26To8w9OX0LaFV9yZ93ELXY7voqHEUsNhnb9bt717UP87KxA=="
)
COUNTED = b64encode(bytes(range(64))).decode()
# protocol.md 4; the first as Microsoft published it.
VECTORS = [
    (G, "sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6", "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc="),
    (G, "my-device-01", "i0eNaxR9P2qCHaK3RkHpn3erozYVBcdCwAsiEzQHCM4="),
    (G, "rp2040_e66038b7:1", "NTkoXXmiOhvx8VGsIRSQJ8uWVgN4BLO1tFGd9A5LZ/I="),
    (CONTOSO, "contoso-simdevice", "prIvMivIPDAqwBH6aCT4P8raQxEulx32+eNjQpp5/bM="),
    (CONTOSO, "my-symkey-device", "Q+erii/qT0ty8UwJPpnDYucSU2Np3B1053zvwW2S+ns="),
    (COUNTED, "esp32-a1b2c3", "cuSf33/M52SPizztuSL14E3l0/WH/EiU3H41Ta763H0="),
]
GROUPS = {G: "group g", CONTOSO: "contoso;1", COUNTED: "counted"}


def custody(pin: str = PIN) -> Custody:
    return Custody({"PIN": pin}, None)


def opened(source: str, pin: str = PIN) -> GroupKey:
    return open_group_key(source, "the group key", custody(pin))


@pytest.fixture(scope="module")
def hsm(
    program: Callable[[str], str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SoftHSM]:
    """A token with the three groups' keys in it, and two tokens of one name."""
    made = SoftHSM(program("softhsm2-util"), tmp_path_factory.mktemp("softhsm"))
    for label in ("line", "twin", "twin", "strict"):
        made.add(label)
    with loaded(made):
        for key, name in GROUPS.items():
            put_into_token(key, made.uri(name), custody())
        yield made


def objects(hsm: SoftHSM, token: str) -> "pkcs11.Session":
    """A session of the test's own, beside ours."""
    found = [each for each in pkcs11.lib(hsm.module).get_tokens() if each.label == token]
    try:
        return found[0].open(rw=True, user_pin=PIN)
    except pkcs11.UserAlreadyLoggedIn:
        return found[0].open(rw=True)


@pytest.mark.parametrize(("key", "device", "derived"), VECTORS)
def test_the_token_derives_the_vectors(hsm: SoftHSM, key: str, device: str, derived: str) -> None:
    assert opened(hsm.uri(GROUPS[key])).derive(device) == derived


@pytest.mark.parametrize("key", GROUPS)
def test_a_fingerprint_is_the_same_in_a_token_and_in_memory(hsm: SoftHSM, key: str) -> None:
    in_memory = open_group_key("env:KEY", "the group key", Custody({"KEY": key}, None))
    assert opened(hsm.uri(GROUPS[key])).fingerprint == in_memory.fingerprint


def test_the_key_does_not_come_out_again(hsm: SoftHSM) -> None:
    session = objects(hsm, "line")
    (key,) = session.get_objects({Attribute.LABEL: GROUPS[G]})
    assert (key[Attribute.SENSITIVE], key[Attribute.EXTRACTABLE]) == (True, False)
    with pytest.raises(pkcs11.AttributeSensitive):
        key[Attribute.VALUE]
    with pytest.raises(pkcs11.PKCS11Error):
        key[Attribute.EXTRACTABLE] = True
    assert find_secrets(hsm.tokens, {"the group key": G, "the PIN": PIN}) == []


def test_several_threads_may_derive_at_once(hsm: SoftHSM) -> None:
    key = opened(hsm.uri(GROUPS[G]))
    second = opened(hsm.uri(GROUPS[CONTOSO]))
    devices = [f"esp32-{number}" for number in range(100)]
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(key.derive, devices))
        others = list(threads.map(second.derive, devices))
    assert found == [keys.derive(G, device) for device in devices]
    assert others == [keys.derive(CONTOSO, device) for device in devices]


def test_a_wrong_id_never_comes_to_the_token(hsm: SoftHSM) -> None:
    with pytest.raises(UsageError, match="did you mean esp32-a"):
        opened(hsm.uri(GROUPS[G])).derive("ESP32-A")


def test_a_token_of_two_with_one_name_is_told_by_its_serial(hsm: SoftHSM) -> None:
    tokens = [each for each in pkcs11.lib(hsm.module).get_tokens() if each.label == "twin"]
    serials = [token.serial.decode() for token in tokens]
    with pytest.raises(UsageError, match=r"2 tokens with label 'twin' are .*; add one of serial="):
        put_into_token(G, hsm.uri("key", token="twin"), custody())
    exact = hsm.uri("key", token="twin").replace("token=", f"serial={serials[1]};token=")
    put_into_token(G, exact, custody())
    assert opened(exact).derive(VECTORS[1][1]) == VECTORS[1][2]
    with pytest.raises(UsageError, match="4 tokens of any name are plugged in"):
        opened(exact.replace(f"serial={serials[1]};token=twin;", ""))
    by_slot = exact.replace(f"serial={serials[1]}", f"slot-id={tokens[1].slot.slot_id}")
    assert opened(by_slot).derive(VECTORS[1][1]) == VECTORS[1][2]


def test_what_the_token_has_not_is_named(hsm: SoftHSM) -> None:
    for source, text in (
        (hsm.uri("none"), "no secret key with label 'none' to be the group key"),
        (hsm.uri("x", token="lin"), "no token with label 'lin' is plugged in"),
        (hsm.uri("x", pin_source=None), "asks for a PIN"),
        (hsm.uri("x").replace(hsm.module, "/no/lib.so"), "no PKCS#11 library at '/no/lib.so'"),
        (hsm.uri("x").replace(hsm.module, __file__), "does not work as a PKCS#11 library"),
    ):
        with pytest.raises(UsageError, match=text):
            opened(source)


def test_a_key_is_never_written_over(hsm: SoftHSM) -> None:
    with pytest.raises(UsageError, match="has a key with label 'counted' already"):
        put_into_token(G, hsm.uri("counted"), custody())
    assert opened(hsm.uri("counted")).derive(VECTORS[-1][1]) == VECTORS[-1][2]


def test_a_key_that_may_not_sign_is_refused(hsm: SoftHSM) -> None:
    session = objects(hsm, "line")
    common = {Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.VALUE: bytes(32)}
    silent = {Attribute.KEY_TYPE: KeyType.GENERIC_SECRET, Attribute.SIGN: False}
    for label, rest in (("silent", silent), ("aes", {Attribute.KEY_TYPE: KeyType.AES})):
        session.create_object({**common, **rest, Attribute.LABEL: label})
        with pytest.raises(UsageError, match=f"label '{label}' may not compute an HMAC"):
            opened(hsm.uri(label))


def test_two_keys_of_one_name_are_told_by_their_ids(hsm: SoftHSM) -> None:
    for number, key in ((1, G), (2, CONTOSO)):
        put_into_token(key, hsm.uri("both").replace("?", f";id=%0{number}?"), custody())
    with pytest.raises(UsageError, match="2 keys with label 'both'; name it by id"):
        opened(hsm.uri("both"))
    second = opened(hsm.uri("both").replace("object=both", "id=%02"))
    assert second.derive(VECTORS[3][1]) == VECTORS[3][2]


def test_a_wrong_pin_is_refused_with_a_warning_and_not_shown(hsm: SoftHSM) -> None:
    with pytest.raises(UsageError, match=r"'strict' does not take this PIN; .*before") as caught:
        opened(hsm.uri("x", token="strict"), pin="1357924680")
    assert "1357924680" not in str(caught.value)


def test_a_session_that_ended_says_what_to_do(hsm: SoftHSM, tmp_path: Path) -> None:
    words = [sys.executable, "-c", _SESSION_ENDS, hsm.uri(GROUPS[G])]
    env = os.environ | hsm.env | {"PIN": PIN}
    done = subprocess.run(words, env=env, capture_output=True, text=True, check=True)
    assert "is gone (SessionHandleInvalid); put it back and start again" in done.stdout


_SESSION_ENDS = """
import os, sys
import pkcs11
from firstlight.custody import Custody
from firstlight.errors import ToolError
from firstlight.groupkey import open_group_key
key = open_group_key(sys.argv[1], "the group key", Custody(os.environ, None))
(library,) = pkcs11._loaded.values()
library.reinitialize()
try:
    key.derive("a")
except ToolError as error:
    print(error)
"""


def test_the_command_line_moves_a_key_in_and_derives_with_it(hsm: SoftHSM, tmp_path: Path) -> None:
    for name, text in (("pin.txt", PIN), ("group.key", G)):
        (tmp_path / name).write_text(text + "\n")
        (tmp_path / name).chmod(0o600)
    token = "pkcs11:token=line;object=by-hand?pin-source=file:pin.txt"
    env = os.environ | hsm.env | {"FIRSTLIGHT_PKCS11_MODULE": hsm.module}

    def call(*words: str) -> str:
        command = [sys.executable, "-c", "from firstlight.cli import main; main()", *words]
        done = subprocess.run(
            command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    told = call("keys", "to-token", "--group-key", "file:group.key", "--token", token)
    assert keys.fingerprint(G) in told
    assert call("keys", "derive", VECTORS[0][1], "--group-key", token) == VECTORS[0][2] + "\n"
    assert b64decode(G) not in b"".join(each.read_bytes() for each in hsm.tokens.rglob("*.object"))
