"""The whole examination: the console first, then the board's facts, then DPS, then back to work.

Changes nothing on the board's flash but what its own boot changes there, after the reset.
"""

import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import keys
from ..errors import BoardError
from ..groupkey import GroupKey
from ..inject import OLDEST
from ..repl import Repl
from ..serialport import open_port
from . import dryrun
from .findings import Dps, Findings, Identity
from .listening import listen
from .reading import Reading

Say = Callable[[str], None]


@dataclass(frozen=True)
class Wishes:
    """What to do. listen_s: how long the console is watched first; group: whose key to compare.

    join: have the board join a network that it hears; ask_dps: the dry run; root: trusted for it
    instead of the board's own; reset: put the board back to work afterwards.
    """

    listen_s: float = 3.0
    group: GroupKey | None = None
    join: bool = True
    ask_dps: bool = True
    root: Path | None = None
    reset: bool = True


def examine(port: str, wishes: Wishes, say: Say) -> Findings:
    """Return what is found on the board at a port; raise BoardError if there is no such port.

    say takes a line of progress at a time; none holds a secret.
    """
    say(f"listening to {port} for {wishes.listen_s:g} s")
    heard = listen(port, wishes.listen_s)
    with ExitStack() as stack:
        try:
            repl = stack.enter_context(Repl(port))
        except BoardError:
            open_port(port).close()  # it is there still, or this says that it is not
            return Findings(port, int(time.time()), life=heard)
        try:
            return _read(repl, wishes, Findings(port, int(time.time()), life=heard), say)
        finally:
            if wishes.reset:
                with suppress(BoardError):
                    repl.reset()


def _read(repl: Repl, wishes: Wishes, start: Findings, say: Say) -> Findings:
    board, reading = repl.implementation(), Reading(repl)
    facts: dict[str, Any] = {"port": start.port, "read_at": start.read_at}
    if board.name != "micropython":
        return start
    facts["micropython"] = ".".join(str(part) for part in board.version)
    facts |= {"machine": board.machine or board.platform, "too_old": board.version < OLDEST}
    facts["chip_id"] = repl.unique_id().hex()
    say("reading its firmware, identity and records")
    facts["life"] = reading.life(start.life)
    facts["assignment"], facts["trial"], facts["stored"] = reading.store()
    reading.make_room()
    facts["files"] = reading.files(board.mpy)
    me, facts["wrong"] = reading.identity()
    facts["identity"] = me
    facts["free_bytes"] = reading.free_bytes()
    facts["clock_off_s"] = reading.clock_off_s()
    facts["roots"], ders = reading.roots(facts["trial"])
    if me is not None:
        facts["in_group"] = _in_group(me, wishes.group)
        if wishes.ask_dps:
            say(f"asking {me.endpoint} what it knows of {me.registration_id}")
            facts["dps"] = _dps(reading, me, ders, wishes.root)
        if me.networks:
            say("looking for its networks")
            facts["air"] = reading.air(me.networks, wishes.join)
    return Findings(**facts)


def _in_group(me: Identity, group: GroupKey | None) -> bool | None:
    """Whether its primary key is the one that a group gives it; None if none was named."""
    if group is None:
        return None
    wanted = keys.fingerprint(group.derive(me.registration_id))
    return wanted in me.fingerprints.values()


def _dps(reading: Reading, me: Identity, ders: list[bytes], root: Path | None) -> Dps | None:
    """Ask DPS as the board would: with its first key, and if that is refused with its second."""
    found = None
    for which in me.fingerprints:
        token = reading.token(which)
        if token:
            found = dryrun.lookup(me, token, dryrun.trust(ders, root), which)
            if found.status != 401:
                break
    return found
