"""The files that a local Azure leaves for its users: its root, its secrets, its names.

What is secret is readable by its owner alone. Nothing here is read back.
"""

import json
from pathlib import Path

from .answers import Json
from .files import Paper, write_all


def write_papers(folder: Path, root_pem: str, info: Json, secrets: dict[str, str | None]) -> Path:
    """Write root.pem, info.json, hosts, and each secret under its file's name.

    Return root.pem's path.

    A secret of None: there is none, and a file that an earlier start left under its name goes.
    Raise OSError naming the file; what was there before is then still there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pem = Paper(folder / "root.pem", root_pem)
    shown = json.dumps(info | {"root_pem": str(pem.path.absolute())}, indent=2)
    papers = [
        pem,
        Paper(folder / "hosts", hosts_file(info["addresses"])),
        Paper(folder / "info.json", shown + "\n"),
    ]
    for name, text in secrets.items():
        if text is None:
            (folder / name).unlink(missing_ok=True)
        else:
            papers.append(Paper(folder / name, text + "\n", mode=0o600))
    write_all(*papers)
    return pem.path


def hosts_file(addresses: dict[str, str]) -> str:
    """Names and their addresses in the form of /etc/hosts; libnss-wrapper takes no comment."""
    pairs = addresses.items()
    return "".join(f"{address} {name}\n" for name, address in pairs if name != address)
