"""umqtt/simple.py of micropython-lib, fetched once from the Python index and pinned by hash.

Never returns bytes that are not the pinned ones, and holds no index's address: the child process
(unearth) asks the index that PIP_INDEX_URL names, or its own default.
"""

import hashlib
import io
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from platformdirs import user_cache_path

from .errors import ToolError
from .wholefile import write_whole

RELEASE = "micropython-umqtt.simple==1.3.4"
_SDIST_SHA256 = "b6a2520239e3992c63a7de9370ee9b3d9d27819a90359c521f1c0f7ccab8d12f"
_SIMPLE_SHA256 = "8555d2f654deb8eb0d724f79b0811a78cc94029d070f3d96bbd74288653d63a5"
_MEMBER = "micropython-umqtt.simple-1.3.4/umqtt/simple.py"
_LONGEST = 65536
_FETCH_S = 90.0
# PIP_INDEX_URL may hold a password: it goes by the environment, not by the process's arguments.
_CHILD = """\
import os, sys
from unearth.__main__ import cli
if os.environ.get("PIP_INDEX_URL"):
    sys.argv += ["--index-url", os.environ["PIP_INDEX_URL"]]
cli()
"""


def simple_source(cache: Path | None = None) -> bytes:
    """The module's source. cache: a folder, None: the user's. Raise ToolError if there is none."""
    folder = cache or user_cache_path("firstlight")
    kept = folder / f"umqtt-simple-{_SIMPLE_SHA256[:16]}.py"
    try:
        data = kept.read_bytes()
    except OSError:
        data = b""
    if hashlib.sha256(data).hexdigest() == _SIMPLE_SHA256:
        return data
    data = unpack(_fetch())
    _keep(kept, data)
    return data


def unpack(sdist: bytes) -> bytes:
    """simple.py out of the release's archive. Raise ToolError unless both are the pinned ones."""
    if hashlib.sha256(sdist).hexdigest() != _SDIST_SHA256:
        raise ToolError(f"the index's {RELEASE} is not the release that is pinned here: refused")
    with tarfile.open(fileobj=io.BytesIO(sdist), mode="r:gz") as archive:
        file = archive.extractfile(_MEMBER)
        data = file.read(_LONGEST) if file else b""
    if hashlib.sha256(data).hexdigest() != _SIMPLE_SHA256:
        raise ToolError(f"{RELEASE} does not hold the umqtt/simple.py that is pinned here")
    return data


def _fetch() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-I",
            "-c",
            _CHILD,
            RELEASE,
            "--no-binary",
            "--download",
            folder,
        ]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=_FETCH_S)
            (archive,) = Path(folder).glob("*.tar.gz")
            return archive.read_bytes()
        except (OSError, ValueError, subprocess.SubprocessError):
            raise ToolError(
                f"cannot fetch {RELEASE} from the Python index: is this machine online? "
                "(PIP_INDEX_URL names another index)"
            ) from None


def _keep(path: Path, data: bytes) -> None:
    """Cache it in one step; a cache that cannot be written is no reason to fail."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, data)
    except OSError:
        return
