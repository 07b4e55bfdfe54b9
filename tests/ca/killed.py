"""Changes a CA again and again, killed before its first, its second, ... step on the disk.

`python -m tests.ca.killed FOLDER`. Prints for each verb and each time how the process ended, and
what was wrong with the folder that it left; the last of a verb is not killed. The processes are
forked, so that one import serves them all.
"""

import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

from firstlight.ca import revoking, seal
from firstlight.ca.authority import utc_now
from firstlight.ca.folder import Folder
from firstlight.errors import UsageError
from tests.ca import founded

_STEPS = {"os.rename", "os.remove", "os.mkdir", "os.chmod"}
_MOST = 200


def change(verb: str, path: Path) -> None:
    if verb == "init":
        founded.found(path)
    elif verb == "rotate":
        founded.rotated(Folder(path), "autumn", retire=True)
    else:
        target = revoking.a_serial(Folder(path), Folder(path).ledger(), 0xA1B2C3, None)
        revoking.revoke(Folder(path), target, "superseded", founded.secrets(), utc_now())


def apart(verb: str, path: Path, steps: int) -> int:
    """Do it in a process of its own, which dies before that step: how it ended."""
    child = os.fork()
    if child == 0:
        left = steps

        def count(event: str, words: tuple[Any, ...]) -> None:
            nonlocal left
            opened = event == "open" and str(path) in str(words[0]) and words[2] & os.O_CREAT
            if opened or event in _STEPS:
                left -= 1
                if left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(count)
        try:
            change(verb, path)
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def wrong(verb: str, path: Path) -> str:
    """What does not work in the folder that was left, or once it was done again."""
    if verb == "init":
        return _wrong_init(path)
    founded.opened(path).issue("esp32-a1b2c3")
    again = Folder(path).ledger()
    if verb == "revoke" or not again.has("autumn"):
        change(verb, path)
    else:
        founded.rotated(Folder(path), "winter")  # which sweeps, too
    ledger = Folder(path).ledger()
    if verb == "revoke":
        kept = [each.serial for each in ledger.batch(None).revoked] == [0xA1B2C3]
        newest = Folder(path).newest_list(ledger.batch(None))
        return "" if kept and newest is not None else "lost"
    founded.opened(path).issue("esp32-a1b2c3")
    return "left over" if Folder(path).key_path("batch-1").exists() else _parts(path)


def _wrong_init(path: Path) -> str:
    try:
        founded.opened(path).issue("esp32-a1b2c3")
    except UsageError as error:
        if "interrupted" not in str(error) and "holds no CA" not in str(error):
            return str(error)
        founded.found(path)
        founded.opened(path).issue("esp32-a1b2c3")
        return _parts(path)
    return ""


def _parts(path: Path) -> str:
    return " ".join(each.name for each in path.glob(".*.part"))


def main(verb: str, top: Path, whole: Path) -> None:
    for steps in range(1, _MOST):
        path = top / "ca"
        shutil.rmtree(path, ignore_errors=True)
        if verb != "init":
            shutil.copytree(whole, path)
        end = apart(verb, path, steps)
        print(json.dumps({"verb": verb, "end": end, "wrong": wrong(verb, path)}), flush=True)
        if end == 0:
            return


if __name__ == "__main__":
    seal._N, seal._P = 1 << 4, 1
    os.fsync = lambda fd: None  # a process dies here, not the power: what is written stays
    place = Path(sys.argv[1])
    founded.found(place / "whole")
    for each in ("init", "rotate", "revoke"):
        main(each, place, place / "whole")
