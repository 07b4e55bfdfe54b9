"""sas.py against the vectors of protocol.md 4 and RFC 4231."""

from binascii import a2b_base64, b2a_base64, hexlify

from aziot import sas

G = "8isrFI1sGsIlvvFSSFRiMfCNzv21fjbE/+ah/lSh3lF8e2YG1Te7w1KpZhJFFXJrqYKi9yegxkqIChbqOS9Egw=="
COUNTING = b2a_base64(bytes(range(64))).decode().strip()


def derived(group_key_b64, registration_id):
    key = sas.hmac_sha256(a2b_base64(group_key_b64), registration_id.encode())
    return b2a_base64(key).decode().strip()


def test_hmac_of_rfc_4231():
    for key, message, expected in (
        (b"\x0b" * 20, b"Hi There", b"b0344c61d8db38535ca8afceaf0bf12b"),
        (b"Jefe", b"what do ya want for nothing?", b"5bdcc146bf60754e6a042426089575c7"),
        (b"\xaa" * 20, b"\xdd" * 50, b"773ea91e36800e46854db8ebd09181a7"),
        (
            b"\xaa" * 131,
            b"Test Using Larger Than Block-Size Key - Hash Key First",
            b"60e431591ee0b67f0d8a26aacbf5b77f",
        ),
    ):
        assert hexlify(sas.hmac_sha256(key, message))[: len(expected)] == expected


def test_a_key_of_exactly_one_block_is_not_hashed_first():
    signed = sas.hmac_sha256(bytes(range(64)), b"esp32-a1b2c3")
    assert b2a_base64(signed).strip() == b"cuSf33/M52SPizztuSL14E3l0/WH/EiU3H41Ta763H0="


def test_the_python_sdks_hmac_vector():
    key = a2b_base64("NMgJDvdKTxjLi+xBxxkDDEwDJxEvOE5u8BiT0mVgPeg=")
    signed = b2a_base64(sas.hmac_sha256(key, b"sign this message")).strip()
    assert signed == b"8NJRMT83CcplGrAGaUVIUM/md5914KpWVNngSVoF9/M="


def test_device_keys_derived_from_a_group_key():
    other = (
        "G3vn0IZH9oK3d4wsxFpWBtd2KUrtjI+39dZVRf26To8w9OX0LaFV9yZ93ELXY7voqHEUsNhnb9bt717UP87KxA=="
    )
    for key, registration_id, expected in (
        (
            G,
            "sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6",
            "Jsm0lyGpjaVYVP2g3FnmnmG9dI/9qU24wNoykUmermc=",
        ),
        (
            G,
            "SN-007-888-ABC-MAC-A1-B2-C3-D4-E5-F6",
            "9GWVnYuoOLXlHc346XjhLRb9pKgIOrKSwxDRSOgnvXo=",
        ),
        (G, "my-device-01", "i0eNaxR9P2qCHaK3RkHpn3erozYVBcdCwAsiEzQHCM4="),
        (G, "rp2040_e66038b7:1", "NTkoXXmiOhvx8VGsIRSQJ8uWVgN4BLO1tFGd9A5LZ/I="),
        (other, "contoso-simdevice", "prIvMivIPDAqwBH6aCT4P8raQxEulx32+eNjQpp5/bM="),
        (other, "my-symkey-device", "Q+erii/qT0ty8UwJPpnDYucSU2Np3B1053zvwW2S+ns="),
        (COUNTING, "esp32-a1b2c3", "cuSf33/M52SPizztuSL14E3l0/WH/EiU3H41Ta763H0="),
    ):
        assert derived(key, registration_id) == expected


def test_tokens_for_dps():
    for key, resource, expires_at, expected in (
        (
            derived(G, "sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6"),
            "0ne00111111/registrations/sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6",
            1700003600,
            "SharedAccessSignature sr=0ne00111111%2Fregistrations%2F"
            "sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6"
            "&sig=9afKwVqgmuHuoQ3FIsufK9YjR2ViBsB1kkUdCNoX4lo%3D&se=1700003600&skn=registration",
        ),
        (
            derived(G, "rp2040_e66038b7:1"),
            "0ne00111111/registrations/rp2040_e66038b7:1",
            1700003600,
            "SharedAccessSignature sr=0ne00111111%2Fregistrations%2Frp2040_e66038b7%3A1"
            "&sig=d9u3nr2ZtLU3r7VM6mFBbbWYT1mr0mhl8LaJ9vcyZ8s%3D&se=1700003600&skn=registration",
        ),
        (
            derived(COUNTING, "esp32-a1b2c3"),
            "0ne00AA11BB/registrations/esp32-a1b2c3",
            1893456000,
            "SharedAccessSignature sr=0ne00AA11BB%2Fregistrations%2Fesp32-a1b2c3"
            "&sig=hBB1c4mzvIJ4xBrB6eZgI2%2FSo7GpA25cjyAAXKi2rzw%3D&se=1893456000&skn=registration",
        ),
    ):
        assert sas.token(resource, key, expires_at, "registration") == expected


def test_tokens_for_a_hub_have_no_policy():
    for key, resource, expires_at, expected in (
        (
            derived(G, "sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6"),
            "myhub.azure-devices.net/devices/sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6",
            1700003600,
            "SharedAccessSignature sr=myhub.azure-devices.net%2Fdevices%2F"
            "sn-007-888-abc-mac-a1-b2-c3-d4-e5-f6"
            "&sig=H0mNWv2KvquOyigsB1zOIrwexcRH45F%2FG0r74uM2Pp4%3D&se=1700003600",
        ),
        (
            derived(COUNTING, "esp32-a1b2c3"),
            "contoso-hub.azure-devices.net/devices/esp32-a1b2c3",
            1893456000,
            "SharedAccessSignature sr=contoso-hub.azure-devices.net%2Fdevices%2Fesp32-a1b2c3"
            "&sig=H60ggyA4kgUgifPDstJO6wFBAO4qgx7e0TuH%2F4%2F4A4U%3D&se=1893456000",
        ),
    ):
        assert sas.token(resource, key, expires_at) == expected


def test_the_node_sdks_token_vector():
    text = sas.token("uri", b2a_base64(b"password").decode().strip(), 12345)
    assert "sig=kcWxXAK2OAaAoq2oCkaGzX2NMqDB8nCyNuq2fPYCDhk%3D" in text


def test_every_byte_that_is_not_unreserved_is_quoted_once():
    unreserved = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~"
    for code in range(128):
        expected = chr(code) if chr(code) in unreserved else "%%%02X" % code
        assert sas.quote(chr(code)) == expected
    assert sas.quote("a+b/c=%2B") == "a%2Bb%2Fc%3D%252B"


def test_text_beyond_ascii_is_quoted_as_utf_8():
    assert sas.quote("h\u00e4r \u20ac") == "h%C3%A4r%20%E2%82%AC"
