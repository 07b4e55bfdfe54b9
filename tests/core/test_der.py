"""der.py: what a certificate says, whatever the bytes are. They are pyca/cryptography's."""

from binascii import a2b_base64, hexlify
from hashlib import sha256

import der
from tests.core.expect import raises

EC = a2b_base64(
    "MIIBKTCBz6ADAgECAhR9ZFACV2p5C1dY3sylZ5GheHMUPDAKBggqhkjOPQQDAjASMRAwDgYDVQQDDAdiYXRjaCAx"
    "MB4XDTI2MTEyMjEwMDAwMVoXDTI4MDIyOTIzNTk1OVowFzEVMBMGA1UEAwwMZXNwMzItYTFiMmMzMFkwEwYHKoZI"
    "zj0CAQYIKoZIzj0DAQcDQgAEHNHWmmPxg8dV6EYAFNB4Gnx4vJ1XY4HIfiK1aFRK07lKcfqweky2fKtRVK/TcF33"
    "1ZRM7rSrfIaYiekKEkUo3TAKBggqhkjOPQQDAgNJADBGAiEAklPRoFtbV8KgYfGSny+SsuoUhErarhNm8y41PEvc"
    "RWkCIQDsgbS6WAGp66rOX+ph88U1EbncFg9X984Gf2I1XupU/Q=="
)
FAR = a2b_base64(
    "MIIBKjCB0aADAgECAhR5UbAlNBmNHgTq/1sIGbaXdQNjSTAKBggqhkjOPQQDAjASMRAwDgYDVQQDDAdiYXRjaCAx"
    "MCAXDTQ5MTIzMTIzNTk1OVoYDzk5OTkxMjMxMjM1OTU5WjAXMRUwEwYDVQQDDAxlc3AzMi1hMWIyYzMwWTATBgcq"
    "hkjOPQIBBggqhkjOPQMBBwNCAAQc0daaY/GDx1XoRgAU0HgafHi8nVdjgch+IrVoVErTuUpx+rB6TLZ8q1FUr9Nw"
    "XffVlEzutKt8hpiJ6QoSRSjdMAoGCCqGSM49BAMCA0gAMEUCIBJX+VreqWVWPZXVuXA4UUdLVbsKbIaBTQpB7Iha"
    "sgGfAiEA4CvN+3tod/Ch5jBd9pzfELyn4fomIhua9ifvAAhUTIA="
)
RSA = a2b_base64(
    "MIIB9zCCAZygAwIBAgIUQaSWDupQwxJxbhZLnDTJjEiqOxQwCgYIKoZIzj0EAwIwEjEQMA4GA1UEAwwHYmF0Y2gg"
    "MTAgFw05OTAzMDEwMDAwMDBaGA8yMDUwMDEwMTAwMDAwMFowFzEVMBMGA1UEAwwMZXNwMzItYTFiMmMzMIIBIjAN"
    "BgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEA8PzWtpvpBLkCKOyElIDkgVTdDeP5qmGyjMJghEYZPbbVVBJlBcM6"
    "E/xvT0ZyFXb3WTAd+X6X/Vj3x348ykYsDq9Y7Buagm/PQXTBM/ZntnN4nZ5gkwlxbLKelTkzKNCgCeJqRgqK2EGh"
    "FMBCJfQrd5G/dWQAXGUH2ZhrWGlzn9axSiW0OaCALTCD7qXLEHFm3ZGtv3b8JoNACv8Ln+GKmH9uO1fRV52G5vp8"
    "YdQo5SjLCIXKXJIYK2e770c4zUD7Dg5STHhWkfsvparEISqtNqaezGxo/7YuHH9iXCOsahFrRU30Uf356WGNRqZ+"
    "BUBcC8pRXFhKDnUKhKm8zVcNUwIDAQABMAoGCCqGSM49BAMCA0kAMEYCIQC3YAxTxyBKAp8J6rPijdXP3hT2ytMc"
    "53hcuom/uUnUHwIhAN4RP4T6LhA4zAgXQgprApOUiQ1xyu8fiU/WS1BLFaTY"
)
EC_KEY = b"58ff71ee018c5b74a7b68e81c048a847518d1573675fd677ec6ab988f0876ff3"
RSA_KEY = b"9086007487fbb9b0453cd51ab80c72122671fc788d3dbb21a77b80266b955afa"
BATCH = b"\x30\x12\x31\x10\x30\x0e\x06\x03\x55\x04\x03\x0c\x07batch 1"
DEVICE = b"\x30\x17\x31\x15\x30\x13\x06\x03\x55\x04\x03\x0c\x0cesp32-a1b2c3"


def test_a_certificate_says_who_and_for_how_long():
    for raw, from_at, until_at in (
        (EC, 1795341601, 1835481599),  # until the end of a leap day
        (FAR, 2524607999, 253402300799),  # a UTCTime's last second, and "for ever"
        (RSA, 920246400, 2524608000),  # before 2000, and a GeneralizedTime's first second
    ):
        assert der.certificate(raw)[3:] == (from_at, until_at)
        assert der.certificate(raw)[:2] == (BATCH, DEVICE)


def test_a_key_is_told_from_another():
    for raw, digest in ((EC, EC_KEY), (FAR, EC_KEY), (RSA, RSA_KEY)):
        assert hexlify(sha256(der.certificate(raw)[2]).digest()) == digest


def test_a_certificate_cut_anywhere_is_none():
    for raw in (EC, RSA):
        for size in range(len(raw)):
            raises(ValueError, der.certificate, raw[:size])
    raises(ValueError, der.certificate, EC + b"\0")


def test_no_byte_that_is_another_raises_anything_else():
    """Most still read: only what is looked at is checked. Nothing is read beyond its end."""
    for at in range(len(EC)):
        for byte in (0, 0x17, 0x30, 0x7F, 0x80, 0x82, 0x84, 0xFF, EC[at] ^ 1):
            raw = EC[:at] + bytes([byte]) + EC[at + 1 :]
            try:
                assert len(der.certificate(raw)) == 5
            except ValueError:
                assert raw != EC


def test_lengths_beyond_what_holds_them_are_refused():
    for head in (b"\x30\x80", b"\x30\x84\0\0\1\0", b"\x30\xff", b"\x30\x83\0\1\0", b"\x30\x82\1"):
        raises(ValueError, der.certificate, head + EC[4:])
    at = EC.find(b"\x17\x0d")  # the first date, in a sequence of two
    for size in (0x0C, 0x0E, 0x1F, 0x7F, 0):
        raises(ValueError, der.certificate, EC[: at + 1] + bytes([size]) + EC[at + 2 :])
    raises(ValueError, der.certificate, EC[: at - 1] + b"\x0f" + EC[at:])
    at = EC.find(der.certificate(EC)[2]) + 1  # the key is the last that is looked at
    raises(ValueError, der.certificate, EC[:at] + bytes([EC[at] + 1]) + EC[at + 1 :])


def test_dates_that_are_none_are_refused():
    at = EC.find(b"\x17\x0d") + 2
    for text in (
        b"261322100001Z",
        b"260022100001Z",
        b"261100100001Z",
        b"261132100001Z",
        b"261122240001Z",
        b"261122106001Z",
        b"261122100061Z",
        b"26112210000 Z",
        b"2611221000010",
        b"+61122100001Z",
        b"261122+10000Z",
    ):
        raises(ValueError, der.certificate, EC[:at] + text + EC[at + 13 :])
    assert der.certificate(EC[:at] + b"500101000000Z" + EC[at + 13 :])[3] == -631152000


def test_foreign_bytes_are_no_certificate():
    for raw in (b"", b"\x30", b"\x30\0", b"\0" * 64, b"-----BEGIN", b"\xff" * 300, RSA[4:]):
        raises(ValueError, der.certificate, raw)
