"""identity.py: what may cross to a board, and that nothing else does."""

import json

from aziot import identity
from aziot.errors import IdentityError
from tests.core.expect import raises

STATIC = ["10.0.0.17", "255.255.255.0", "10.0.0.1", "10.0.0.1"]
PINS = {"spi": 1, "sck": 12, "mosi": 11, "miso": 13, "cs": 10}
LEAF, ISSUER, CSR = "MIIB" * 100, "MIIC" * 90, "MIHt" * 60 + "MA=="
EC_KEY = "MHcC" * 40
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


def with_x509(**changes):
    """An identity with certificates instead of a key; a change to None leaves its field out."""
    section = {"chain": [LEAF, ISSUER], "key": EC_KEY, "csr": CSR} | changes
    section = {name: value for name, value in section.items() if value is not None}
    return document(x509=section, symmetric_key=None)


def test_certificates_take_the_place_of_the_key():
    for whole in (with_x509(), with_x509(csr=None), with_x509(chain=[LEAF])):
        assert stored(whole)["x509"] == whole["x509"]
        assert stored(whole)["symmetric_key"] is None
        whole.pop("symmetric_key")
        assert stored(whole)["symmetric_key"] is None
    assert stored(document())["x509"] is None
    assert stored(document(x509=None))["symmetric_key"] == {"primary": KEY}


def test_a_device_proves_itself_with_one_of_the_two():
    for whole in (
        document(x509=with_x509()["x509"]),
        document(symmetric_key=None),
        document(symmetric_key=None, x509=None),
    ):
        told = str(raises(IdentityError, identity.check, whole))
        assert "symmetric_key" in told
        assert "x509" in told
        assert KEY[:8] not in told


def test_each_fault_of_certificates_names_its_field_and_repeats_nothing():
    longest = "A" * 2732  # 2049 bytes
    for field, value in (
        ("chain", LEAF),
        ("chain", []),
        ("chain", [LEAF] * 5),
        ("chain", {"0": LEAF}),
        ("chain", [LEAF, ""]),
        ("chain", [LEAF, 5]),
        ("chain", [LEAF, None]),
        ("chain", [LEAF[:-1]]),
        ("chain", [LEAF + "\n"]),
        ("chain", ["-----BEGIN CERTIFICATE-----"]),
        ("chain", [longest]),
        ("key", EC_KEY[:-2]),
        ("key", ""),
        ("key", 5),
        ("key", [EC_KEY]),
        ("key", "A" * 1736),  # 1302 bytes
        ("csr", CSR[1:]),
        ("csr", ""),
        ("csr", 5),
        ("csr", "A" * 1368),  # 1026 bytes
    ):
        told = str(raises(IdentityError, identity.check, with_x509(**{field: value})))
        assert told.startswith("x509." + field), told
        for text in (LEAF, EC_KEY, CSR, longest):
            assert text[:8] not in told
    for whole in (with_x509(chain=None), with_x509(key=None), with_x509(pin=KEY)):
        told = str(raises(IdentityError, identity.check, whole))
        assert told.startswith("x509 has ")
        assert KEY[:8] not in told
    for value in ([], "text", 5, True):
        told = str(raises(IdentityError, identity.check, document(symmetric_key=None, x509=value)))
        assert "x509" in told


def test_the_longest_certificates_that_are_taken():
    full = with_x509(chain=["A" * 2728 + "AA==", LEAF, LEAF, LEAF], key="A" * 1732 + "AA==")
    assert identity.check(full)["x509"]["chain"][0] == full["x509"]["chain"][0]
    raises(IdentityError, stored, with_x509(chain=["A" * 2732 + "AA=="] + [LEAF] * 3))
    raises(IdentityError, stored, with_x509(chain=["A" * 2728] * 4))  # more than a board reads


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
    assert stored(full) == full | {"x509": None}


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
