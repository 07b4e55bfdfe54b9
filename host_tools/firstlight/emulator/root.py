"""The private root of a local Azure, and its server's certificate.

Made anew at each start. No private key outlives the process: the one that the ssl module will only
take from a file is in a file of mode 0600 for that moment.
"""

import ssl
from pathlib import Path

import trustme

from ..errors import UsageError
from .files import Paper, write_all


class Root:
    """A certificate authority of our own. pem: text; der: what MicroPython takes."""

    def __init__(self) -> None:
        self._authority = trustme.CA(organization_name="firstlight local Azure")
        self.pem = self._authority.cert_pem.bytes().decode()
        self.der = ssl.PEM_cert_to_DER_cert(self.pem)

    def context(self, names: tuple[str, ...]) -> ssl.SSLContext:
        """TLS 1.2 alone, as DPS speaks (protocol.md 1.6), for these names and addresses."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
        try:
            self._authority.issue_cert(*names).configure_cert(context)
        except UnicodeError as error:  # idna's
            raise UsageError(f"a host name cannot be put into a certificate: {error}") from None
        return context


def write_papers(folder: Path, root: Root, connection_string: str) -> Path:
    """Write root.pem, and the connection string for its owner alone; return root.pem's path.

    Raise OSError naming the file; what was there before is then still there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pem = Paper(folder / "root.pem", root.pem)
    secret = Paper(folder / "connection-string.txt", connection_string + "\n", mode=0o600)
    write_all(pem, secret)
    return pem.path
