"""How many device keys a second: `firstlight keys derive`, beside the pipeline of the articles.

That one puts the group's key on a command line once for each device, as ours must never do.
"""

import os
import shutil
import subprocess
import time
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

from firstlight import keys
from firstlight.custody import write_private
from firstlight.groupkey import MemoryKey
from tests.bench import servers
from tests.bench.figures import Size, Target, ratios, row, table
from tests.bench.processes import BenchError
from tests.interop.softhsm import SoftHSM

_KEY = b64encode(bytes(range(64))).decode()
_OURS, _PIPELINE = "firstlight keys derive --ids", "the openssl pipeline"
_IN_TOKEN, _IN_LINE = "the same, key in SoftHSM", "within firstlight line"
_ONE = "the same, one id at a time"
_PIN = "917356"
_TIMEOUT_S = 60.0
# As articles have it, once for each device; $KEY and the ids come on standard input here.
_SCRIPT = """
read -r KEY
while read -r REG_ID; do
    keybytes=$(echo $KEY | base64 --decode | xxd -p -u -c 1000)
    echo -n $REG_ID | openssl sha256 -mac HMAC -macopt hexkey:$keybytes -binary | base64
done
"""


def derivations(size: Size, folder: Path, program: str | None) -> list[Target]:
    """Keys a second, each way that there is on this machine. program: not needed."""
    ways = _ways(size, folder)
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(size.rounds):
        for name, rate in ways.items():
            found[name].append(rate())
    print(table("keys derived a second", found, lambda rate: rate))
    if _PIPELINE not in found:
        print("openssl, xxd or bash is missing (make system): nothing to compare with\n")
        return []
    print(row(f"beside {_PIPELINE}", ["least", "median", "most"]))
    for name in (_OURS, _IN_TOKEN, _ONE):
        if name in found:
            columns = ratios(found[name], found[_PIPELINE]).columns(2)
            print(row(f"  {name}", columns))
    print()
    middle = ratios(found[_OURS], found[_PIPELINE]).middle
    met = None if size.is_quick else middle >= 1
    return [Target("keys derived as fast as by openssl's pipeline", f"{middle:.1f} times", met)]


def _ways(size: Size, folder: Path) -> dict[str, Callable[[], float]]:
    """Each way's name, and what measures it once."""
    ids = [f"esp32-{number:012x}" for number in range(size.per_round)]
    (folder / "ids").write_text("\n".join(ids) + "\n")
    write_private(folder / "group.key", _KEY + "\n")
    few = ids[: max(3, len(ids) // 10)]
    batch = ["--ids", str(folder / "ids")]
    source = f"file:{folder / 'group.key'}"
    ways: dict[str, Callable[[], float]] = {
        _OURS: lambda: _command(batch, source, ids, {}),
        _ONE: lambda: _command([ids[0]], source, ids[:1], {}),
        _IN_LINE: lambda: _in_process(ids),
    }
    if all(map(shutil.which, ("bash", "openssl", "xxd", "base64"))):
        ways[_PIPELINE] = lambda: _pipeline(few)
    util = shutil.which("softhsm2-util")
    if util is not None:
        hsm, uri = _token(util, folder)
        ways[_IN_TOKEN] = lambda: _command(batch, uri, ids, hsm.env)
    return ways


def _token(util: str, folder: Path) -> tuple[SoftHSM, str]:
    hsm = SoftHSM(util, folder / "softhsm")
    hsm.add("bench", _PIN)
    write_private(folder / "pin", _PIN + "\n")
    uri = hsm.uri("group", token="bench", pin_source=f"file:{folder / 'pin'}")
    words = ["keys", "to-token", "--group-key", f"file:{folder / 'group.key'}", "--token", uri]
    _run([servers.FIRSTLIGHT, *words], hsm.env, "")
    return hsm, uri


def _command(words: list[str], source: str, ids: list[str], env: dict[str, str]) -> float:
    began = time.monotonic()
    command = [servers.FIRSTLIGHT, "keys", "derive", *words, "--group-key", source]
    said = _run(command, env, "")
    took_s = time.monotonic() - began
    _check([line.rpartition(",")[2] for line in said.splitlines()[-len(ids) :]], ids)
    return len(ids) / took_s


def _pipeline(ids: list[str]) -> float:
    began = time.monotonic()
    said = _run(["bash", "-c", _SCRIPT], {}, "\n".join([_KEY, *ids]) + "\n")
    took_s = time.monotonic() - began
    _check(said.splitlines(), ids)
    return len(ids) / took_s


def _in_process(ids: list[str]) -> float:
    key = MemoryKey(_KEY, "the group key")
    began = time.monotonic()
    found = [key.derive(device) for device in ids]
    took_s = time.monotonic() - began
    _check(found, ids)
    return len(ids) / took_s


def _run(command: list[str], env: dict[str, str], stdin: str) -> str:
    done = subprocess.run(
        command,
        input=stdin,
        env=os.environ | env,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        raise BenchError(f"{Path(command[0]).name} failed: {done.stderr.strip()[-200:]}")
    return done.stdout


def _check(found: list[str], ids: list[str]) -> None:
    if found != [keys.derive(_KEY, device) for device in ids]:
        raise BenchError("somebody derives other keys")
