"""A CA's private key at rest: PKCS#8 as PEM, encrypted under a passphrase, as openssl reads it.

scrypt and AES-256-CBC (RFC 7914 7, RFC 8018 6.2). What `cryptography` writes by itself has 2048
rounds of PBKDF2: too few for a file that is copied from station to station. So its scrypt, its AES
and its ASN.1 encoder are put together here; it reads the outcome by itself, as openssl does. The
key and the passphrase are in no text and in no error.
"""

import os
from base64 import b64encode
from textwrap import wrap

from cryptography.exceptions import InternalError, UnsupportedAlgorithm
from cryptography.hazmat import asn1
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from cryptography.hazmat.primitives.padding import PKCS7
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509 import ObjectIdentifier

from ..errors import UsageError
from .certificate import PrivateKey

SHORTEST = 8  # characters of a passphrase (NIST SP 800-63B 5.1.1)
_LONGEST_PASSPHRASE = 1000  # bytes: openssl reads no more than 1023
LONGEST = 1 << 14  # bytes of a file with a key
# Memory of 16 MiB, which openssl still takes without being asked; time as OWASP advises with it.
_N, _R, _P = 1 << 14, 8, 5
_LABEL = "ENCRYPTED PRIVATE KEY"
_PBES2 = ObjectIdentifier("1.2.840.113549.1.5.13")
_SCRYPT = ObjectIdentifier("1.3.6.1.4.1.11591.4.11")
_AES_256_CBC = ObjectIdentifier("2.16.840.1.101.3.4.1.42")


@asn1.sequence
class _ScryptParameters:
    salt: bytes
    cost: int
    block_size: int
    parallelization: int


@asn1.sequence
class _KeyDerivation:
    algorithm: ObjectIdentifier
    parameters: _ScryptParameters


@asn1.sequence
class _Encryption:
    algorithm: ObjectIdentifier
    iv: bytes


@asn1.sequence
class _Scheme:
    key_derivation: _KeyDerivation
    encryption: _Encryption


@asn1.sequence
class _Algorithm:
    algorithm: ObjectIdentifier
    parameters: _Scheme


@asn1.sequence
class _EncryptedPrivateKeyInfo:
    algorithm: _Algorithm
    data: bytes


def check_passphrase(passphrase: str, what: str) -> str:
    """Return a new passphrase if its length will do. Raises UsageError; never shows it."""
    if len(passphrase) < SHORTEST:
        raise UsageError(
            f"{what} has fewer than {SHORTEST} characters, which are soon guessed from a copied "
            "file: make a longer one, as with: openssl rand -base64 24"
        )
    if len(passphrase.encode()) > _LONGEST_PASSPHRASE:
        raise UsageError(f"{what} has more than {_LONGEST_PASSPHRASE} bytes")
    if not passphrase.isprintable():
        raise UsageError(
            f"{what} has a line break, or another character that cannot be shown: openssl would "
            "read another passphrase from the same file"
        )
    return passphrase


def sealed(key: PrivateKey, passphrase: str) -> bytes:
    """The key as encrypted PKCS#8, PEM."""
    plain = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    salt, iv = os.urandom(16), os.urandom(16)
    derived = Scrypt(salt, 32, _N, _R, _P).derive(passphrase.encode())
    padder = PKCS7(algorithms.AES256.block_size).padder()
    encryptor = Cipher(algorithms.AES256(derived), modes.CBC(iv)).encryptor()
    padded = padder.update(plain) + padder.finalize()
    der = asn1.encode_der(
        _EncryptedPrivateKeyInfo(
            algorithm=_algorithm(salt, iv), data=encryptor.update(padded) + encryptor.finalize()
        )
    )
    lines = wrap(b64encode(der).decode(), 64)
    return "\n".join([f"-----BEGIN {_LABEL}-----", *lines, f"-----END {_LABEL}-----", ""]).encode()


def unsealed(pem: bytes, passphrase: str, what: str, hint: str = "") -> PrivateKey:
    """The key back. what: as errors call it, "the key of batch-1". hint: what to say if the
    passphrase is wrong. Raises UsageError.
    """
    try:
        key = load_pem_private_key(pem, passphrase.encode())
    except TypeError:
        raise UsageError(
            f"{what} is not encrypted, as it must be: openssl pkcs8 -topk8 -scrypt encrypts it"
        ) from None
    except (ValueError, UnsupportedAlgorithm, InternalError, MemoryError):
        raise UsageError(
            f"{what} does not open: the passphrase is another one, or the file is damaged{hint}"
        ) from None
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise UsageError(f"{what} is neither EC nor RSA")
    return key


def _algorithm(salt: bytes, iv: bytes) -> _Algorithm:
    parameters = _ScryptParameters(salt=salt, cost=_N, block_size=_R, parallelization=_P)
    derivation = _KeyDerivation(algorithm=_SCRYPT, parameters=parameters)
    encryption = _Encryption(algorithm=_AES_256_CBC, iv=iv)
    scheme = _Scheme(key_derivation=derivation, encryption=encryption)
    return _Algorithm(algorithm=_PBES2, parameters=scheme)
