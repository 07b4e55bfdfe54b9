"""The findings as a table for people: a name and a text a row; pure."""

from collections.abc import Iterator

from .certified import date
from .findings import Chain, Findings, Life, Root

_MOST = 6  # names in a row
_EARLIEST_AT = 1767225600  # 2026-01-01 (firmware/dates.py)


def rows(found: Findings) -> Iterator[tuple[str, str]]:
    """Every row, in the order of a board's life."""
    yield "MicroPython", _micropython(found)
    yield "chip", found.chip_id or "-"
    yield "firmware", _firmware(found)
    yield from _identity(found)
    yield from _life(found.life)
    if found.assignment is not None:
        whose = "" if found.assignment.is_of(found.identity) else ", for another identity"
        yield "hub", f"{found.assignment.hub} as {found.assignment.device_id}{whose}"
    yield "messages on flash", _number(found.stored)
    yield "flash", f"{_number(found.free_bytes)} bytes free"
    yield "clock", _clock(found)
    yield from _air(found)
    for root in found.roots or ():
        yield f"root {root.folder}/{root.name}", _root(root, found.read_at)
    if found.trial is not None and found.trial.newest:
        trial = found.trial
        state = "in use" if trial.in_use == trial.newest else f"failed {trial.tries} times"
        yield "newer roots", f"number {trial.newest}: {state}; good: {trial.good}"
    yield from _dps(found)


def _micropython(found: Findings) -> str:
    return f"{found.micropython} on {found.machine}" if found.micropython else "no answer"


def _firmware(found: Findings) -> str:
    files = found.files
    if files is None or not files.own:
        return "none" if files is not None else "-"
    told = [
        f"{word}: {', '.join(names[:_MOST])}{' ...' if len(names) > _MOST else ''}"
        for word, names in (("missing", files.missing), ("differ", files.differing))
        if names
    ]
    return "; ".join(told) or "as in this release"


def _identity(found: Findings) -> Iterator[tuple[str, str]]:
    me = found.identity
    if me is None:
        yield "identity", found.wrong or "-"
        return
    yield "identity", f"{me.registration_id} in {me.id_scope} at {me.endpoint}"
    for name, fingerprint in me.fingerprints.items():
        yield f"{name} key", f"fingerprint {fingerprint}"
    for chain in found.chains or ():
        yield from _chain(found, chain)
    if found.in_group is not None:
        what = "CA" if me.by_certificate else "group key"
        yield what, "its own" if found.in_group else "another group's"
    if me.ethernet:
        yield "network", "Ethernet"


def _life(life: Life) -> Iterator[tuple[str, str]]:
    told = {
        "phase": life.phase,
        "last error": life.heard or life.error,
        "error before its reset": life.before,
        "started by": life.reset,
        "app.py raised": life.app,
    }
    yield from ((name, text) for name, text in told.items() if text)
    numbers = {
        "boots": life.boots,
        "seconds up": life.up_s,
        "messages sent": life.sent,
        "messages waiting": life.waiting,
        "messages dropped": life.dropped,
    }
    yield from ((name, str(number)) for name, number in numbers.items() if number is not None)


def _chain(found: Findings, chain: Chain) -> Iterator[tuple[str, str]]:
    """Whose the certificates are, who signed them, until when; and whether they are in use."""
    name = f"certificate {chain.number}" if chain.number else "certificate"
    for at, one in enumerate(chain.certificates):
        word = "until" if one.ends_at > found.read_at else "EXPIRED"
        yield (
            name if not at else f"{name}, above",
            f"{one.subject} by {one.issuer}, {word} {date(one.ends_at)}, "
            f"SHA-256 {one.fingerprint}",
        )
    last = chain.certificates[-1].issuer if chain.certificates else "-"
    state = [chain.fault or f"in order, leaf first, up to {last}"]
    trial = found.renewal
    if trial is not None and chain.number:
        on_trial = trial.in_use == trial.newest != trial.good
        state.append("the good one" if chain.number == trial.good else
                     "on trial" if on_trial else f"failed {trial.tries} times")  # fmt: skip
    yield f"{name}, chain", "; ".join(state)


def _clock(found: Findings) -> str:
    if found.clock_off_s is None:
        return "-"
    if found.read_at + found.clock_off_s < _EARLIEST_AT:
        return "not set"
    return f"{found.clock_off_s:+d} s beside this PC's"


def _air(found: Findings) -> Iterator[tuple[str, str]]:
    me, air = found.identity, found.air
    for name in me.networks if me and air else ():
        dbm = air.signals.get(name) if air else None
        yield f"Wi-Fi {name}", "not in the air" if dbm is None else f"{dbm} dBm"
    if air is not None:
        yield "on the network", air.address or air.refused or "no"


def _root(root: Root, now_at: int) -> str:
    if root.ends_at is None:
        return f"{root.subject}, fingerprint {root.fingerprint}"
    word = "until" if root.ends_at > now_at else "EXPIRED"
    return f"{root.subject}, {word} {date(root.ends_at)}, fingerprint {root.fingerprint}"


def _dps(found: Findings) -> Iterator[tuple[str, str]]:
    dps = found.dps
    if dps is None:
        yield "DPS", "not asked"
        return
    parts = [str(dps.status or ""), dps.state, dps.hub and f"to {dps.hub}", dps.told]
    if dps.key != "primary":
        parts.append(f"with its {dps.key}{'' if 'certificate' in dps.key else ' key'}")
    yield "DPS", " ".join(part for part in parts if part) or "-"


def _number(value: int | None) -> str:
    return "-" if value is None else str(value)
