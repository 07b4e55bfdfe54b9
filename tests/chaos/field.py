"""A board in the field: real firmware in fast time, its hub behind a proxy, and what it owes us.

What is checked after any trouble is the same, and is here: it sends again by itself, nothing that
its app gave is missing, what came twice says so by its message id, and it was never reset.

    with Field(folder, site) as field:
        field.strike("telemetry-puback drop times=1")
        field.recovers()
        field.is_sound()
"""

import itertools
import json
import re
import shutil
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from firstlight.boardlog import LogReader
from firstlight.emulator.azure import LocalAzure
from firstlight.emulator.hub.registry import twin_document
from firstlight.emulator.running import RunningAzure
from firstlight.virtual import VirtualBoard
from tests.chaos.proxy import Proxy
from tests.e2e.bench import NAME, Bench
from tests.e2e.flashed import put

_T = TypeVar("_T")
SPEED = 5000
APP = """\
import os

INTERVAL_S = {interval_s}
OUTBOX = {outbox}
KEEP = {keep}
boot = os.urandom(4).hex()
count = 0
heard = ""


def sample():
    global count
    count += 1
    print("measured", count)
    return {{"boot": boot, "count": count, "heard": heard}}


def on_message(body, properties):
    global heard
    heard = str(body, "utf-8")


def on_method(name, payload):
    return payload


def on_desired(patch, whole):
    return {{"got": patch.get("want")}}
"""
_LATE_S = 20.0  # nothing takes that long, but a machine that is busy elsewhere
_LOOK_S = 0.01


@dataclass(frozen=True)
class Site:
    """What every board of a test process shares. template: a folder with one, ready to boot."""

    azure: RunningAzure
    proxy: Proxy
    template: Path


def make_site(folder: Path, azure: RunningAzure, proxy: Proxy) -> Site:
    """Inject one board, to be copied: the firmware, and an identity that leads to the proxy."""
    bench = Bench(folder / "template", azure)
    document = bench.document(bench.group_key()[1], port=proxy.port)
    bench.inject(document, APP.format(interval_s=60, outbox=150, keep=False).encode())
    bench.tune(speed=SPEED)
    return Site(azure, proxy, bench.board.folder)


class Field:
    """A board that is on from the start, the proxy healed and the hubs at peace.

    interval_s: between two messages, in its own time; keep: whether they outlive a power cut;
    outbox: so many wait; app: instead of the usual one.
    """

    def __init__(
        self,
        folder: Path,
        site: Site,
        interval_s: int = 60,
        keep: bool = False,
        outbox: int = 150,
        app: str = APP,
        **settings: Any,
    ) -> None:
        self.azure, self.proxy = site.azure, site.proxy
        self.device = site.azure.device(NAME)
        folder.mkdir()
        for name in ("virtual.json", "flash.img"):
            shutil.copy(site.template / name, folder / name)
        self.board = VirtualBoard(folder)
        self._tune({"speed": SPEED} | settings)
        text = app.format(interval_s=interval_s, outbox=outbox, keep=keep)
        put(self.board.folder / "flash.img", {"/app.py": text.encode()})
        self.words = itertools.count(1)
        self._log = LogReader(folder)
        self._said, self._dropped = "", 0
        self.begin()

    def __enter__(self) -> "Field":
        self.power_on()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end()

    def begin(self) -> None:
        """Let all be well around the board; what is checked from now on is what comes now."""
        self.peace()
        self.dns({})
        self.board.set_air()
        self.is_well = False
        self._seen = self._last()
        self._received: list[tuple[dict[str, Any], str]] = []
        self._boots = 0
        self._dropped = self._told_dropped()
        self._said, self._at = "", 0

    def end(self) -> None:
        """Switch off, and show what the board said: seen if the test fails."""
        print(self.said()[-6000:])
        self._log.close()
        self.board.power_off()
        self.peace()

    def power_on(self) -> None:
        self._boots += 1
        self.board.power_on()

    def cut_power(self) -> None:
        """And come back at once."""
        self.board.power_off()
        self.power_on()

    def peace(self) -> None:
        """End every fault."""
        self.azure.clear_faults()
        self.proxy.heal()

    def dns(self, names: dict[str, list[str]]) -> None:
        """What names lead to; nobody asks the world."""
        names = {"localhost": ["localhost"], "127.0.0.1": ["127.0.0.1"], "*": []} | names
        path = self.board.folder / "dns.json"
        path.with_suffix(".new").write_text(json.dumps(names))
        path.with_suffix(".new").replace(path)

    def strike(self, words: str, provoke: "Callable[[Field], None] | None" = None) -> str:
        """Set a fault, do what brings the board to its point, wait until it struck; its id."""
        fault = self.azure.add_fault(words)["id"]
        if provoke is not None:
            provoke(self)
        self.struck(fault)
        return str(fault)

    def struck(self, fault: str, times: int = 1, timeout_s: float = _LATE_S) -> None:
        """Wait until a fault has struck so often."""

        def hits(azure: LocalAzure) -> bool:
            found = azure.services.faults.get(fault)
            return found is not None and found["hits"] >= times

        assert self.azure.wait_for(hits, timeout_s), (
            f"{fault} did not strike: {self.azure.faults()}"
        )

    def fails(self) -> None:
        """Wait until the board says that something failed."""
        self.until("failed: ")

    def until(self, text: str) -> None:
        """Wait until the board says this, from where the last wait ended."""
        deadline = time.monotonic() + _LATE_S
        while text not in self.said()[self._at :]:
            assert time.monotonic() < deadline, f"{text!r} was not said: {self._said[-1500:]}"
            time.sleep(_LOOK_S)
        self._at = self._said.index(text, self._at) + len(text)

    def lasts(self, fault: str) -> None:
        """Let a fault strike again, or at least for a while if the board has got around it."""
        with suppress(AssertionError):
            self.struck(fault, 2, 0.3)

    def kick(self) -> None:
        """Let the hub end the connection."""
        self.azure.call(lambda azure: [hub.kick(NAME) for hub in azure.hubs.values()])

    def reprovision(self) -> None:
        """Let the hub refuse the board once: it asks DPS again."""
        self.azure.add_fault("connect refuse code=5 part=hub times=1")
        self.kick()

    def recovers(self, more: int = 2) -> None:
        """Wait until so many messages came that the hubs did not have before."""
        mark = self._newest()
        wanted = (mark[0], mark[1] + more)

        def enough(azure: LocalAzure) -> bool:
            return self._newest(azure) >= wanted

        assert self.azure.wait_for(enough, _LATE_S), f"no more than {self._newest()} came"

    def listens(self) -> None:
        """Check that the board does what a hub asks: a message, a method, a desired property."""
        word = f"word {next(self.words)}"
        self.device.send(word)
        assert self.azure.wait_for(lambda azure: self._heard(azure) == word, _LATE_S), word
        assert self.device.call_method("echo", word, connect_timeout_s=30) == (200, word)
        self.want(word)
        reported = self.azure.wait_for(lambda azure: self._got(azure) == word, _LATE_S)
        assert reported, self.device.twin()

    def want(self, word: str) -> None:
        """Set a desired property, which the app reports."""
        self.device.patch_twin({"properties": {"desired": {"want": word}}})

    def is_sound(self, gaps: int = 0) -> None:
        """Check what is owed. gaps: so many messages may be missing, for the board said so."""
        said = self.said()
        for bad in ("Traceback", "ms  fault "):
            assert bad not in said, said[max(0, said.index(bad) - 1500) :][:3000]
        assert said.count("ms  id ") <= self._boots, "it was reset"
        for boot, found in self.given().items():
            assert boot
            for ids in found.values():
                assert len(set(ids)) == 1, f"one message, two ids: {ids}"
                assert all(ids)
        assert self.missing() <= gaps
        self.is_well = True

    def missing(self) -> int:
        """How many messages no hub has, though it has an earlier and a later one."""
        return sum(max(found) - min(found) + 1 - len(found) for found in self.given().values())

    def dropped(self) -> int:
        """How many messages the board says that its outbox could not hold, since the beginning."""
        return max(0, self._told_dropped() - self._dropped)

    def latest(self) -> str:
        """What the app calls the last boot that a hub heard of."""
        return list(self.given())[-1]

    def measured(self) -> int:
        """The last count that the app gave in this boot."""
        return int(self.said().rpartition("measured ")[2].split()[0])

    def reports(self, name: str, value: object) -> None:
        """Wait for a reported property of the component `firstlight`."""

        def is_there(azure: LocalAzure) -> bool:
            part = self._reported(azure).get("firstlight") or {}
            return bool(part.get(name) == value)

        assert self.azure.wait_for(is_there, _LATE_S), self.device.twin()

    def given(self) -> dict[str, dict[int, list[str]]]:
        """What the hubs have: by boot and count, the message ids that it came with."""
        found: dict[str, dict[int, list[str]]] = defaultdict(lambda: defaultdict(list))
        for body, id in self.azure.call(self._arrived):
            found[body["boot"]][body["count"]].append(id)
        return found

    def said(self) -> str:
        """What the console printed since the beginning."""
        self._said += self._log.read().decode(errors="replace")
        return self._said

    def _arrived(self, azure: LocalAzure) -> list[tuple[dict[str, Any], str]]:
        """What the hubs have got since the beginning; each message is read once."""
        for m in azure.messages.select(device_id=NAME, after=self._seen):
            self._received.append((json.loads(m.body), m.system_properties.get("message-id", "")))
            self._seen = m.sequence
        return list(self._received)

    def _heard(self, azure: LocalAzure) -> object:
        found = self._arrived(azure)
        return found[-1][0]["heard"] if found else None

    def _got(self, azure: LocalAzure) -> object:
        return self._reported(azure).get("got")

    def _reported(self, azure: LocalAzure) -> dict[str, Any]:
        (device,) = filter(None, (hub.registry.get(NAME) for hub in azure.hubs.values()))
        reported: dict[str, Any] = twin_document(device)["properties"]["reported"]
        return reported

    def _newest(self, azure: LocalAzure | None = None) -> tuple[int, int]:
        """(boots that sent something, the highest count of the last of them)."""
        found = self._arrived(azure) if azure else self.azure.call(self._arrived)
        boots = list(dict.fromkeys(body["boot"] for body, _ in found))
        highest = max((b["count"] for b, _ in found if b["boot"] == boots[-1]), default=0)
        return len(boots), highest

    def _told_dropped(self) -> int:
        told = re.findall(r'"dropped": (\d+)', self.said())
        return int(told[-1]) if told else self._dropped

    def _last(self) -> int:
        return self.azure.call(lambda azure: azure.messages.received)

    def _tune(self, settings: dict[str, Any]) -> None:
        path = self.board.folder / "virtual.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | settings))
