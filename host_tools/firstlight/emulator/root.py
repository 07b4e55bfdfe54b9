"""The private root of a local Azure, and its server's certificate.

Made anew at each start. No private key outlives the process: the one that the ssl module will only
take from a file is in a file of mode 0600 for that moment.
"""

import ssl
from pathlib import Path

import trustme

from .files import write_private, write_public


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
        self._authority.issue_cert(*names).configure_cert(context)
        return context


def write_papers(folder: Path, root: Root, connection_string: str) -> Path:
    """Write root.pem, and the connection string for its owner alone; return root.pem's path."""
    folder.mkdir(parents=True, exist_ok=True)
    write_private(folder / "connection-string.txt", connection_string + "\n")
    return write_public(folder / "root.pem", root.pem)
