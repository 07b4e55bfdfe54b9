"""The private root of a local Azure, and its server's certificate.

Made anew at each start, unless there is a journal: then a device that trusts it today trusts it
after a restart. The root's private key leaves only into that journal, the server's never.
"""

import ssl
from datetime import datetime

import trustme
from OpenSSL.SSL import Context

from ..errors import UsageError
from .answers import Json
from .handshake import new_context

_ORGANIZATION = "firstlight local Azure"
_WRONG_NAME = "another.invalid"
_WRONG_TIMES = {
    "expired": (datetime(2000, 1, 1), datetime(2001, 1, 1)),
    "not-yet-valid": (datetime(2100, 1, 1), datetime(2101, 1, 1)),
}


def new_authority() -> Json:
    """A root of one's own, for a journal: its certificate and its private key, both PEM."""
    authority = trustme.CA(organization_name=_ORGANIZATION)
    return {
        "certificate": authority.cert_pem.bytes().decode(),
        "key": authority.private_key_pem.bytes().decode(),
    }


class Root:
    """A certificate authority of our own. pem: text; der: what MicroPython takes.

    authority: what new_authority() once gave; None: a new one. Raises ValueError for a wrong one.
    """

    def __init__(self, authority: Json | None = None) -> None:
        papers = authority or new_authority()
        self._authority = trustme.CA.from_pem(
            papers["certificate"].encode(), papers["key"].encode()
        )
        self._others: dict[str, Context] = {}
        self.pem = self._authority.cert_pem.bytes().decode()
        self.der = ssl.PEM_cert_to_DER_cert(self.pem)

    def context(self, names: tuple[str, ...]) -> Context:
        """TLS 1.2 alone, as DPS speaks (protocol.md 1.6), for these names and addresses."""
        return _context(self._authority, names)

    def other(self, kind: str, names: tuple[str, ...]) -> Context:
        """As context(), but what a client must refuse: a fault's certificate, made when wanted.

        kind: expired, not-yet-valid, wrong-name or unknown-root.
        """
        found = self._others.get(kind)
        if found is None:
            found = self._others[kind] = self._new_other(kind, names)
        return found

    def _new_other(self, kind: str, names: tuple[str, ...]) -> Context:
        if kind == "unknown-root":
            return _context(trustme.CA(organization_name=_ORGANIZATION), names)
        if kind == "wrong-name":
            return _context(self._authority, (_WRONG_NAME,))
        begin, end = _WRONG_TIMES[kind]
        return _context(self._authority, names, begin, end)


def _context(
    authority: trustme.CA,
    names: tuple[str, ...],
    begin: datetime | None = None,
    end: datetime | None = None,
) -> Context:
    try:
        paper = authority.issue_cert(*names, not_before=begin, not_after=end)
    except UnicodeError as error:  # idna's
        raise UsageError(f"a host name cannot be put into a certificate: {error}") from None
    context = new_context()
    paper.configure_cert(context)
    return context
