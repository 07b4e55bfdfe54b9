"""What a certificate says: who signed it, for whom, from when to when, and for which key.

Reads X.509's outer structure alone (RFC 5280 section 4.1) and judges no signature: TLS does. Every
length is checked against what holds it, whatever the bytes are; nothing that is not read here, an
extension say, is looked at. Reads no clock.

    SEQUENCE, and in it the first SEQUENCE: [0] version, INTEGER serial, SEQUENCE algorithm,
    SEQUENCE issuer, SEQUENCE (not before, not after), SEQUENCE subject, SEQUENCE public key, ...
"""

from aziot._const import const

_SEQUENCE = const(0x30)
_INTEGER = const(0x02)
_VERSION = const(0xA0)  # [0], constructed
_UTC_TIME = const(0x17)


def certificate(raw: bytes) -> tuple:
    """Return (issuer, subject, key, from_at, until_at) of one certificate's DER.

    issuer, subject, key: their DER, to be compared; from_at, until_at: Unix seconds. Raises
    ValueError.
    """
    at, end = _element(raw, 0, len(raw), _SEQUENCE)
    if end != len(raw):
        raise ValueError("more than a certificate")
    at, end = _element(raw, at, end, _SEQUENCE)
    if raw[at : at + 1] == bytes([_VERSION]):
        at = _element(raw, at, end, _VERSION)[1]
    at = _element(raw, at, end, _INTEGER)[1]
    at = _element(raw, at, end, _SEQUENCE)[1]
    edges = [at]
    for _ in range(4):
        edges.append(at := _element(raw, at, end, _SEQUENCE)[1])
    a, b, c, d, e = edges
    at, end = _element(raw, b, c, _SEQUENCE)
    from_at, at = _time(raw, at, end)
    until_at, _ = _time(raw, at, end)
    return raw[a:b], raw[c:d], raw[d:e], from_at, until_at


def _element(raw: bytes, at: int, end: int, tag: int) -> tuple:
    """Return where the body of the element at `at` begins, and where it ends."""
    if at + 2 > end or raw[at] != tag:
        raise ValueError("not a certificate")
    size = raw[at + 1]
    at += 2
    if size & 0x80:
        count = size & 0x7F
        if not 1 <= count <= 2 or at + count > end:
            raise ValueError("not a certificate")
        size = int.from_bytes(raw[at : at + count], "big")
        at += count
    if at + size > end:
        raise ValueError("a certificate cut short")
    return at, at + size


def _time(raw: bytes, at: int, end: int) -> tuple:
    """Return the Unix seconds of a UTCTime, or of a GeneralizedTime, and where it ends.

    YYMMDDHHMMSSZ, of the years 1950 to 2049, or YYYYMMDDHHMMSSZ (RFC 5280 section 4.1.2.5).
    """
    short = raw[at : at + 1] == bytes([_UTC_TIME])
    at, end = _element(raw, at, end, _UTC_TIME if short else _UTC_TIME + 1)
    text = raw[at:end]
    if short:
        text = (b"19" if text[:1] >= b"5" else b"20") + text
    if len(text) != 15 or not text[:14].isdigit() or text[14:] != b"Z":
        raise ValueError("not a date")
    year, month, day, hour, minute, second = [
        int(text[a:b]) for a, b in ((0, 4), (4, 6), (6, 8), (8, 10), (10, 12), (12, 14))
    ]
    if not (1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60 and second < 61):
        raise ValueError("not a date")
    # Years begin in March: then a leap day is the last of its year.
    year -= month < 3
    days = 365 * year + year // 4 - year // 100 + year // 400
    days += (153 * ((month + 9) % 12) + 2) // 5 + day - 719469
    return days * 86400 + hour * 3600 + minute * 60 + second, end
