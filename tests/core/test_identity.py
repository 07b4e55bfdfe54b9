"""identity.py: what may cross to a board, and that nothing else does."""

import json

from aziot import identity
from aziot.errors import IdentityError
from tests.core.expect import raises

STATIC = ["10.0.0.17", "255.255.255.0", "10.0.0.1", "10.0.0.1"]
PINS = {"spi": 1, "sck": 12, "mosi": 11, "miso": 13, "cs": 10}
KEY = "cuSf33/M52SPizztuSL14E3l0/WH/EiU3H41Ta763H0="


def document(**changes):
    whole = {
        "version": 1,
        "id_scope": "0ne00111111",
        "registration_id": "esp32-a1b2c3",
        "symmetric_key": {"primary": KEY},
    }
    return whole | changes


def stored(value):
    return identity.load(json.dumps(value).encode())


def fault(**changes):
    return str(raises(IdentityError, identity.check, document(**changes)))


def test_the_least_identity_gets_azures_own_defaults():
    whole = stored(document())
    assert whole["endpoint"] == "global.azure-devices-provisioning.net"
    assert whole["port"] == 8883
    assert whole["wifi"] == []
    assert whole["payload"] is None


def test_one_time_server_is_a_list_of_one():
    assert stored(document(ntp="a:1"))["ntp"] == ["a:1"]
    assert stored(document())["ntp"][0] == "pool.ntp.org"


def test_a_full_identity_reads_back():
    full = document(
        symmetric_key={"primary": KEY, "secondary": KEY},
        endpoint="localhost",
        port=18883,
        https_port=18443,
        wifi=[
            {"ssid": "shop floor", "password": "p\u00e4ss"},
            {"ssid": "open", "ifconfig": STATIC},
        ],
        ethernet={"spi": 1, "sck": 12, "mosi": 11, "miso": 13, "cs": 10, "int": 4}
        | {"reset": 9, "ifconfig": STATIC},
        ntp=["127.0.0.1:10123", "pool.ntp.org"],
        led=-2,
        roots_key="A" * 344,
        payload={"site": "north"},
        model_id="dtmi:com:example:Thermostat;1",
    )
    assert stored(full) == full


def test_registration_ids_that_dps_takes():
    for text in ("a", "0", "esp32-a1b2c3", "rp2040_e66038b7:1", "a.b-", "x" * 128):
        assert identity.check_registration_id(text) == text


def test_registration_ids_that_dps_would_refuse():
    for text in (
        "",
        "x" * 129,
        "-a",
        ".a",
        "a.",
        "a_",
        "a:",
        "A",
        "a b",
        "a/b",
        "\u00e4",
        None,
        7,
    ):
        raises(IdentityError, identity.check_registration_id, text)


def test_keys_are_base64_of_16_to_64_bytes():
    for text in ("A" * 22 + "==", KEY, "A" * 86 + "=="):
        assert identity.check_key(text, "key") == text
    for text in (
        "",
        "A" * 20,
        "A" * 88,
        KEY[:-1],
        KEY + "\n",
        KEY[:-4] + "A===",
        "-" * 44,
        "=" * 44,
        None,
        5,
        b"A" * 44,
        ["A"] * 44,
    ):
        raises(IdentityError, identity.check_key, text, "key")


def test_an_error_about_a_key_does_not_repeat_it():
    for text in (KEY[:-1], KEY[1:], KEY + KEY, KEY[:-1] + "!"):
        told = str(raises(IdentityError, identity.check_key, text, "symmetric_key.primary"))
        assert "symmetric_key.primary" in told
        assert text[:8] not in told


def test_each_fault_names_its_field():
    for field, value in (
        ("version", 2),
        ("version", True),
        ("version", "1"),
        ("id_scope", ""),
        ("id_scope", "0ne/0011"),
        ("registration_id", "Esp32"),
        ("symmetric_key", KEY),
        ("symmetric_key", {}),
        ("symmetric_key", {"primary": "short"}),
        ("symmetric_key", {"primary": KEY, "secondary": ""}),
        ("symmetric_key", {"primary": KEY, "group": KEY}),
        ("endpoint", "https://x"),
        ("endpoint", ""),
        ("endpoint", 5),
        ("endpoint", {"host": 1}),
        ("wifi", {}),
        ("wifi", ["name"]),
        ("wifi", [{"password": "x"}]),
        ("wifi", [{"ssid": ""}]),
        ("wifi", [{"ssid": "x" * 33}]),
        ("wifi", [{"ssid": "a\nb"}]),
        ("wifi", [{"ssid": "a", "password": "x" * 65}]),
        ("wifi", [{"ssid": "a", "psk": "x"}]),
        ("wifi", [{"ssid": "n"}] * 9),
        ("ntp", "a:b"),
        ("ntp", "a:0"),
        ("ntp", "a:123:4"),
        ("ntp", "a:\u00b2"),
        ("ntp", "a:\u00b2"),
        ("ntp", 123),
        ("ntp", []),
        ("ntp", [None]),
        ("ntp", ["a"] * 5),
        ("ifconfig", [["10.0.0.1"] * 3]),
        ("ifconfig", ["10.0.0.1"] * 4 + [""]),
        ("ifconfig", ["10.0.0.256"] * 4),
        ("ifconfig", ["10.0..1"] * 4),
        ("ifconfig", ["10.0.1"] * 4),
        ("ifconfig", ["10.0.0.0.1"] * 4),
        ("ifconfig", [5] * 4),
        ("ifconfig", "10.0.0.1"),
        ("ethernet", []),
        ("ethernet", {"spi": 1}),
        ("ethernet", PINS | {"cs": "10"}),
        ("ethernet", PINS | {"cs": -1}),
        ("ethernet", PINS | {"cs": True}),
        ("ethernet", PINS | {"mdc": 1}),
        ("led", ""),
        ("led", True),
        ("led", [2]),
        ("led", "a pin, any"),
        ("roots_key", ""),
        ("roots_key", "A" * 340),
        ("roots_key", "A" * 688),
        ("roots_key", 5),
        ("payload", "text"),
        ("payload", [1]),
        ("model_id", "x" * 257),
    ):
        if field == "ifconfig":
            assert field in fault(wifi=[{"ssid": "a", "ifconfig": value}]), value
            assert field in fault(ethernet=PINS | {"ifconfig": value}), value
        else:
            assert field in fault(**{field: value}), field
    for port in (0, 65536, -1, "8883", 8883.5, None, True):
        assert "port" in fault(port=port)
        assert "https_port" in fault(https_port=port)


def test_a_missing_field_is_named():
    for name in ("version", "id_scope", "registration_id", "symmetric_key"):
        short = document()
        short.pop(name)
        assert name in str(raises(IdentityError, identity.check, short))


def test_a_field_that_is_not_known_is_refused_by_name():
    assert "endpiont" in fault(endpiont="x")


def test_an_identity_cut_anywhere_is_refused():
    raw = json.dumps(document()).encode()
    for size in range(len(raw)):
        raises(IdentityError, identity.load, raw[:size])


def test_foreign_bytes_are_refused():
    for raw in (b"", b"null", b"[]", b"5", b'"x"', b"\xff\xfe", b"\x00" * 64, b"x" * 9000, b"{}"):
        raises(IdentityError, identity.load, raw)


def test_a_document_that_is_too_long_for_a_board_is_refused():
    raises(IdentityError, identity.load, json.dumps(document(payload={"x": "y" * 9000})).encode())
