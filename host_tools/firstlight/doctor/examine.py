"""The whole examination: the console first, then the board's facts, then DPS, then back to work.

Changes nothing on the board's flash but what its own boot changes there, after the reset.
"""

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography import x509

from .. import keys
from ..errors import BoardError, ProofError
from ..groupkey import GroupKey
from ..inject import IDENTITY_PATH, IN_NVS, OLDEST
from ..repl import BoardExecError, Repl
from ..serialport import open_port
from . import dryrun, relay
from .certificates import leads_to
from .findings import CLOCK_S, Chain, Dps, Findings, Identity
from .listening import listen
from .reading import Reading

Say = Callable[[str], None]
Trusted = tuple[list[bytes], Path | None]  # the board's roots (DER), or one instead of them


@dataclass(frozen=True)
class Wishes:
    """What to do. listen_s: how long the console is watched first; group: whose key to compare.

    ca: to which its certificates should lead, instead.
    join: have the board join a network that it hears; ask_dps: the dry run; root: trusted for it
    instead of the board's own; reset: put the board back to work afterwards.
    """

    listen_s: float = 3.0
    group: GroupKey | None = None
    ca: x509.Certificate | None = None
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
    kept = reading.store()
    facts |= {"assignment": kept.assignment, "trial": kept.trial, "stored": kept.stored}
    reading.make_room()
    facts["files"] = reading.files(board.mpy)
    me, facts["wrong"] = reading.identity()
    facts["identity"] = me
    facts["free_bytes"] = reading.free_bytes()
    facts["clock_off_s"] = reading.clock_off_s()
    facts["roots"], ders = reading.roots(facts["trial"])
    if me is not None:
        facts["in_group"] = _in_group(me, wishes.group)
        if me.by_certificate:
            factory = reading.factory_chain()
            facts["chains"], facts["renewal"] = reading.chains(me, kept, factory)
            facts["in_group"] = wishes.ca and leads_to(factory, wishes.ca)
            facts["unproven"] = _unproven(repl, facts["chains"][0], factory)
        if wishes.ask_dps:
            say(f"asking {me.endpoint} what it knows of {me.registration_id}")
            found = Findings(**facts)
            how = _by_certificate if me.by_certificate else _by_key
            facts["dps"] = how(repl, found, me, (ders, wishes.root))
        if me.networks:
            say("looking for its networks")
            facts["air"] = reading.air(me.networks, wishes.join)
    return Findings(**facts)


def _in_group(me: Identity, group: GroupKey | None) -> bool | None:
    """Whether its primary key is the one that a group gives it; None if none was named."""
    if group is None or me.by_certificate:
        return None
    wanted = keys.fingerprint(group.derive(me.registration_id))
    return wanted in me.fingerprints.values()


def _unproven(repl: Repl, chain: Chain, factory: Sequence[bytes]) -> str:
    """Why its key is not its certificate's, by a handshake with this PC; "" if nothing says so.

    A chain that is not good is its own cause, and one that its memory does not hold is none.
    """
    if not chain.is_good_at(int(time.time())):
        return ""
    from .. import tlsproof  # noqa: PLC0415  needs pyOpenSSL, which takes a moment

    Reading(repl).make_room()
    try:
        path = IDENTITY_PATH if repl.hashes([IDENTITY_PATH])[IDENTITY_PATH] else IN_NVS
        tlsproof.prove(repl, tlsproof.expected(factory, None), path)
    except ProofError as error:
        cause = error.__context__
        return "" if isinstance(cause, BoardExecError) and relay.has_no_room(cause) else str(error)
    return ""


def _by_key(repl: Repl, _: Findings, me: Identity, trusted: Trusted) -> Dps | None:
    """Ask DPS as the board would: with its first key, and if that is refused with its second."""
    found = None
    for which in me.fingerprints:
        token = Reading(repl).token(which)
        if token:
            found = dryrun.lookup(me, token, dryrun.trust(*trusted), which)
            if found.status != 401:
                break
    return found


def _by_certificate(repl: Repl, so_far: Findings, me: Identity, trusted: Trusted) -> Dps | None:
    """Have the board ask: by the factory's certificate, and if that is refused by an issued one.

    A board whose clock is off can judge no certificate: it has this PC's time for that long.
    """
    _, root_pem = trusted
    roots = dryrun.roots_of(root_pem) if root_pem is not None else []
    off_s = so_far.clock_off_s
    now_at = 0 if off_s is not None and abs(off_s) <= CLOCK_S else int(time.time())
    found = None
    for chain in so_far.chains or ():
        if chain.certificates:
            found = dryrun.by_certificate(repl, me, chain.number, roots, now_at)
            if found.status != 401:
                break
    return found
