"""Certificates as files, for programs that take nothing else; a folder of the test's own."""

from dataclasses import dataclass
from pathlib import Path

from tests.certificates import Issued


@dataclass(frozen=True)
class Papers:
    """What a device shows: the chain that it sends and the key of its first certificate, PEM."""

    chain: Path
    key: Path

    @property
    def text(self) -> dict[str, str]:
        """As Node's SDKs take them."""
        return {"cert": self.chain.read_text(), "key": self.key.read_text()}


def written(folder: Path, issued: Issued, chain_pem: str | None = None) -> Papers:
    """chain_pem: what is sent, if that is another than the certificate's own chain."""
    name = f"{issued.sha256[:16]}-{len(list(folder.iterdir()))}"
    papers = Papers(folder / f"{name}.pem", folder / f"{name}.key")
    papers.chain.write_text(chain_pem or issued.chain_pem)
    papers.key.touch(mode=0o600)
    papers.key.write_text(issued.key_pem)
    return papers
