"""rsa.py: one encoding is a signature, and nothing that looks like one (RFC 8017 section 8.2.2).

The key was made for this test. With its private half a test signs what an honest signer never
would: the encodings that forgers have used where a verifier parses instead of comparing.
"""

from binascii import unhexlify
from hashlib import sha256

import rsa

N_HEX = (
    "9b0a60d86272301258d684bcfa92c785c271b9359c4ff4dab14c484f52fbdccea68ecb1ebd38da2f"
    "ddf946f2b0755bf087f0856b99fcfd83c434d36f61e30983e0c0c588316db6b1a1fe5910312fa4c3"
    "d59f7b000d49a638db24a5289ebe73d7157fe8d55b50d3d0522913511c98bc58ec0e8ac98e0e7340"
    "bc78e1b8bd76fa463afbb37a2052ba88a2fb5bafcfadbe291a58bfe86ade32529f60b99b9ffc53ba"
    "ef184f26f1c893c7b8b44f182ce66528d3f83dbf8d6c3d796c9e55f8793220da7a7e63dcbce66842"
    "9f6cb65367a478cf11d234d9d8927f03a7a39c119e05e26beecc8b29e9dca97e0bfecdcdb7fcff33"
    "545cbe3e8f9990558ac34c6f0c77a84f"
)
D_HEX = (
    "083dc1a11ca441149e4cb7264c2f36c206f077525c238555f37c49a2d8a99c3fc5d92bb5e2165533"
    "529a38577406ca231ba59c931cbc6d97f768ef288e50fc8eda3fa744edf8d6149d924a16f79c1214"
    "b0d4a4bbc89d9b3ed72a1cb75d1cd221f55e64dd367d569f4dfd971b3396b9fa96123dd15fa6cc8e"
    "d8714f15bc363630b82d930ee9e9b9f12104dfc7fb873d0a6879bceabda9a24d20dc96d4aceb69b4"
    "89cf25af0b7f02ebdcf3924e96175f3aa3ed74287a13c50a7bf5ddebf98102006b75c922cf4df736"
    "abba2c538295c83b86d4b56950603ee550fa7d058b649ca3248280d4178b553c9bb72ddddb3c906c"
    "c88022e3ae5adbadaaad625a4aca3ff9"
)
SIGNATURE_HEX = (
    "47c1922d7d585ed7fe2c92d0a1ea4a509c0d0a8d1354dc7a07c14cea517717ea2993bac8742606a3"
    "fdef5fdb8fe8abec02ae1c12af47bfce8dc2b9d185faa458567246d0d9304693a02cf13f8e7bd7fd"
    "9b57b53e2155766e8def5350e1dc7c52a52826470adcffbee731d264539babaf45eaaed9bc3fdbcd"
    "5369182437f270cd8765cd39de35b55fb588b91d3e148f070f6b69a4e434c7f51cc69cd82f8f0b5a"
    "684c2079708e33c0858d536500a1b5fdf40d60b8074758084574f6b3da6997a2c133751f50a39fa4"
    "7ddfdcc5c12fc3e92dd9c25d6dd26048ba747563e3b8fdcb07993604933d45b624129ec6bb9da474"
    "c884541703ec167341416282e20c09e4"
)
MESSAGE = b"firstlight"
N = unhexlify(N_HEX)
SIGNATURE = unhexlify(SIGNATURE_HEX)  # MESSAGE's, made by the `cryptography` package
SHA256 = unhexlify("3031300d060960864801650304020105000420")
SHA1 = unhexlify("3021300906052b0e03021a05000414")
NO_NULL = unhexlify("302f300b0609608648016503040201" + "0420")


def power(base, exponent, modulus):
    """As pow(), which a board may lack."""
    result = 1
    while exponent:
        if exponent & 1:
            result = result * base % modulus
        base = base * base % modulus
        exponent >>= 1
    return result


def signed(encoded):
    """The signature of 256 bytes that are encoded already, however wrongly."""
    assert len(encoded) == 256
    n, d = int.from_bytes(N, "big"), int.from_bytes(unhexlify(D_HEX), "big")
    return power(int.from_bytes(encoded, "big"), d, n).to_bytes(256, "big")


def encoded(info, digest, head=b"\0\1", padding=b"\xff"):
    tail = b"\0" + info + digest
    return head + padding * (254 - len(tail)) + tail


DIGEST = sha256(MESSAGE).digest()


def test_a_signature_by_another_program_is_verified():
    assert rsa.verified(N, MESSAGE, SIGNATURE)
    assert signed(encoded(SHA256, DIGEST)) == SIGNATURE


def test_another_message_is_not():
    for message in (b"", b"firstligh", b"firstlight ", b"Firstlight"):
        assert not rsa.verified(N, message, SIGNATURE)


def test_a_signature_with_a_bit_flipped_is_not():
    for i in range(0, 256, 5):
        wrong = bytearray(SIGNATURE)
        wrong[i] ^= 1 << i % 8
        assert not rsa.verified(N, MESSAGE, bytes(wrong))


def test_a_modulus_with_a_bit_flipped_does_not_verify():
    for i in (0, 1, 100, 254, 255):
        wrong = bytearray(N)
        wrong[i] ^= 1 << i % 8
        assert not rsa.verified(bytes(wrong), MESSAGE, SIGNATURE)


def test_a_forger_who_hides_garbage_behind_the_digest_is_refused():
    """Bleichenbacher's of 2006: little padding, and the digest not at the end."""
    front = b"\0\1" + b"\xff" * 8 + b"\0" + SHA256 + DIGEST
    for garbage in (b"\0", b"\xff", b"\x30"):
        assert not rsa.verified(N, MESSAGE, signed(front + garbage * (256 - len(front))))


def test_a_forger_who_hides_garbage_in_the_digest_info_is_refused():
    """BERserk's of 2014: lengths in a long form, or parameters that nobody looks at."""
    long_form = unhexlify("308131300d060960864801650304020105000420")
    parameters = unhexlify("3081a630818106096086480165030402010574") + b"\x5a" * 116 + b"\4\x20"
    for info in (NO_NULL, long_form, parameters, SHA256[:-2], b""):
        assert not rsa.verified(N, MESSAGE, signed(encoded(info, DIGEST)))


def test_padding_that_is_not_all_ff_is_refused():
    right = encoded(SHA256, DIGEST)
    for i in (0, 1, 2, 204):
        wrong = bytearray(right)
        wrong[i] ^= 0x02
        assert not rsa.verified(N, MESSAGE, signed(bytes(wrong)))
    assert not rsa.verified(N, MESSAGE, signed(encoded(SHA256, DIGEST, b"\0\2", b"\x55")))


def test_another_hash_is_refused():
    assert not rsa.verified(N, MESSAGE, signed(encoded(SHA1, DIGEST[:20])))
    assert not rsa.verified(N, MESSAGE, signed(encoded(SHA256, sha256(DIGEST).digest())))


def test_a_signature_of_another_length_or_beyond_the_modulus_is_refused():
    n, s = int.from_bytes(N, "big"), int.from_bytes(SIGNATURE, "big")
    for signature in (b"", SIGNATURE[:-1], SIGNATURE + b"\0", b"\0" + SIGNATURE, bytes(256)):
        assert not rsa.verified(N, MESSAGE, signature)
    assert not rsa.verified(N, MESSAGE, N)
    assert not rsa.verified(N, MESSAGE, (s + n).to_bytes(256, "big"))  # the same, modulo n


def test_a_modulus_that_is_no_modulus_is_refused():
    for modulus in (b"", b"\0", b"\1", N[:255], b"\0" + N, N + N + N[:1], bytes(256)):
        assert not rsa.verified(modulus, MESSAGE, SIGNATURE)


def inverse(a, modulus):
    """1 / a, modulo modulus: Euclid's algorithm."""
    r, s, x, y = modulus, a, 0, 1
    while s:
        q = r // s
        r, s, x, y = s, r - q * s, y, x - q * y
    return x % modulus


def verified_by_mersenne(bits, factor=1, size=0):
    """Sign by the prime 2**bits - 1, times factor 1 or 2: whose private half anyone knows."""
    prime = (1 << bits) - 1
    size = size or (bits + 7) // 8
    tail = b"\0" + SHA256 + DIGEST
    number = int.from_bytes(b"\0\1" + b"\xff" * (size - 2 - len(tail)) + tail, "big")
    signature = power(number, inverse(65537, prime - 1), prime * factor)
    return rsa.verified(
        (prime * factor).to_bytes(size, "big"), MESSAGE, signature.to_bytes(size, "big")
    )


def test_a_modulus_may_have_256_to_512_bytes_and_must_be_odd_and_of_its_length():
    assert verified_by_mersenne(2203)
    assert not verified_by_mersenne(2203, 2)
    assert not verified_by_mersenne(2203, 1, 277)
    for bits in (521, 4253):
        assert not verified_by_mersenne(bits)
