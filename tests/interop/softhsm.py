"""SoftHSM, a PKCS#11 token made of files: a folder of tokens of its own for each who asks.

Debian's package softhsm2; nothing of this is ours but the key that a test puts in.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest

PIN = "917356"
_LIBRARY = "softhsm/libsofthsm2.so"
_CONFIGURATION = """\
directories.tokendir = {folder}/tokens
objectstore.backend = file
log.level = ERROR
"""


class SoftHSM:
    """A folder of tokens. util: the program softhsm2-util; module: the library of the same."""

    def __init__(self, util: str, folder: Path) -> None:
        self._util = util
        self.module = str(_library())
        self.env = {"SOFTHSM2_CONF": str(folder / "softhsm2.conf")}
        (folder / "tokens").mkdir(parents=True)
        (folder / "softhsm2.conf").write_text(_CONFIGURATION.format(folder=folder))
        self.tokens = folder / "tokens"

    def add(self, label: str, pin: str = PIN) -> None:
        """Make one more token."""
        words = ["--init-token", "--free", "--label", label, "--so-pin", "56565656", "--pin", pin]
        subprocess.run(
            [self._util, *words], env=os.environ | self.env, check=True, capture_output=True
        )

    def uri(self, key: str, token: str = "line", pin_source: str | None = "env:PIN") -> str:
        """The pkcs11: URI of a key."""
        pin = "" if pin_source is None else f"&pin-source={quote(pin_source)}"
        return f"pkcs11:token={quote(token)};object={quote(key)}?module-path={self.module}{pin}"


@contextmanager
def loaded(hsm: SoftHSM) -> Iterator[SoftHSM]:
    """Let this process use it: the library reads its configuration once, when it is loaded."""
    import pkcs11  # noqa: PLC0415  an extra

    before = os.environ.get("SOFTHSM2_CONF")
    os.environ |= hsm.env
    try:
        yield hsm
    finally:
        pkcs11.unload(hsm.module)
        del os.environ["SOFTHSM2_CONF"]
        os.environ |= {} if before is None else {"SOFTHSM2_CONF": before}


def _library() -> Path:
    for place in ("/usr/lib", "/usr/lib64", "/usr/local/lib", "/opt/homebrew/lib"):
        for path in (Path(place) / _LIBRARY, *Path(place).glob(f"*/{_LIBRARY}")):
            if path.is_file():
                return path
    pytest.fail("softhsm2-util is there, but its library is not")
