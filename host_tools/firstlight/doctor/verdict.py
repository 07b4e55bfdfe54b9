"""What is wrong, in one sentence, and what to do; pure: findings in, a verdict out.

The first cause speaks: what comes before in a board's life, and what is certain before what may
be so only at this bench. Never guesses: what was not read is no cause.
"""

from collections.abc import Callable
from dataclasses import dataclass

from .certified import bad_certificate, expiry, refused_by_dps, refused_by_hub, unproven
from .findings import CLOCK_S, Findings, used_roots

FULL_BYTES = 8192  # the least that an injection needs beside its files
_PAST_CLOCK = ("register", "serve", "hub")
_SHOWN = 3
Cause = Callable[[Findings], str]


@dataclass(frozen=True)
class Verdict:
    """sentence: what is wrong and what to do; fine: nothing is."""

    sentence: str
    fine: bool


def judge(found: Findings) -> Verdict:
    """Return the verdict on what was found."""
    for cause in _CAUSES:
        sentence = cause(found)
        if sentence:
            return Verdict(sentence, False)
    but = expiry(found) or _unseen(found) or _told_before(found)
    return Verdict("everything is in order" + (f", but {but}" if but else ""), True)


def _no_micropython(found: Findings) -> str:
    speaks = found.life.phase or found.life.heard
    if not found.micropython and speaks:
        return (
            f"its firmware runs ({speaks}), but lets nobody in: hold its reset button, ask again, "
            "and let go of it; if that does not help, write it anew: firstlight flash"
        )
    if not found.micropython and found.life.noisy:
        return (
            f"what speaks on {found.port} does not answer as MicroPython: is it the right port? "
            "if so, press its reset button and ask again, or write it anew: firstlight flash"
        )
    if not found.micropython:
        return (
            f"nothing on {found.port} answers as MicroPython: press its reset button and ask "
            "again, for it may sleep; if it stays silent, write MicroPython: firstlight flash"
        )
    if found.too_old:
        return (
            f"its MicroPython, {found.micropython}, is too old for this firmware: write a newer "
            "one: firstlight flash"
        )
    return ""


def _no_firmware(found: Findings) -> str:
    files = found.files
    if files is not None and not files.own:
        return "MicroPython is there, but no firmware: give it one: firstlight inject"
    if files is not None and files.missing:
        return f"its firmware is not whole, {_some(files.missing)} missing: firstlight inject"
    return ""


def _no_identity(found: Findings) -> str:
    if found.identity is not None or not found.wrong:
        return ""
    if found.wrong == "none":
        return "it has no identity: give it one: firstlight inject"
    if found.wrong == "no room" and found.life.phase:
        return (
            "its memory is too small to be examined as it runs, and that says nothing of its "
            "identity: watch its console, or inject it anew with fewer certificates"
        )
    if found.wrong == "no room":
        return (
            "its memory is too small for its identity: inject it anew with fewer certificates, "
            "of EC P-256 instead of RSA, or with a smaller payload"
        )
    if found.wrong == "unread":
        return "its firmware cannot read its identity, it may be damaged: firstlight inject"
    return f"its identity cannot be used ({found.wrong}): give it a new one: firstlight inject"


def _foreign_key(found: Findings) -> str:
    me = found.identity
    if me is None:
        return ""
    name, dash, tail = me.registration_id.rpartition("-")
    is_id = len(tail) == len(found.chip_id) >= 12 and all(c in "0123456789abcdef" for c in tail)
    if dash and name and is_id and tail != found.chip_id:
        return (
            f"its identity, {me.registration_id}, is another chip's, and this one is "
            f"{found.chip_id}: give it its own: firstlight inject"
        )
    if found.in_group is False and me.by_certificate:
        return (
            "its certificates do not lead to this CA: name the CA of its batch, or give it a new "
            "identity: firstlight inject"
        )
    if found.in_group is False:
        return (
            "its key is not the one of this group: give it the group's own: firstlight inject; "
            "or name the group that it was made for"
        )
    return ""


def _refused_by_dps(found: Findings) -> str:
    dps, me = found.dps, found.identity
    if dps is None or me is None:
        return ""
    if dps.status == 401 and not me.by_certificate:
        return (
            f"DPS refuses its key (401): {me.registration_id} is enrolled in {me.id_scope} with "
            "another one, revoked, or not at all: look with firstlight enroll show, enroll it, or "
            "inject the right key"
        )
    if dps.state == "disabled":
        return (
            f"{me.registration_id} is disabled at DPS: if it is to work again: firstlight enroll "
            "enable"
        )
    return ""


def _no_network(found: Findings) -> str:
    air, me = found.air, found.identity
    if me is None or me.ethernet:
        return ""
    if not me.networks:
        return "its identity names no network: inject it again, with --wifi"
    refused = (air.refused if air else "") or found.life.heard
    on = bool(air and air.address)
    if not on and "wrong password" in refused:
        return (
            f"its Wi-Fi password is refused ({_joined(me.networks)}): inject it again with the "
            "right one: --wifi SSID=SOURCE"
        )
    if air is not None and not on and not air.signals:
        return (
            f"its network ({_joined(me.networks)}) is not in the air here: switch it on or come "
            "nearer, or inject the one that is there: --wifi"
        )
    if air is not None and not on and air.refused:
        return f"it gets onto no network ({air.refused}): look at the access point, and its range"
    return ""


def _no_time(found: Findings) -> str:
    off_s, life = found.clock_off_s, found.life
    if "no time" in life.error or "no time" in life.heard:
        return (
            "it finds no time: let its network reach a time server (NTP, port 123) or DPS by "
            "HTTPS, or name one that it reaches: firstlight inject --ntp"
        )
    if off_s is not None and abs(off_s) > CLOCK_S and life.phase in _PAST_CLOCK:
        me = found.identity
        what = (
            "no certificate is good to it"
            if me and me.by_certificate
            else "its tokens are refused"
        )
        return (
            f"its clock is off by {off_s} s, so that {what}: look at the time "
            "server that it asks, or name another: firstlight inject --ntp"
        )
    return ""


def _no_trust(found: Findings) -> str:
    if found.roots is None:
        return ""
    used = used_roots(found)
    if not any(root.ends_at is not None for root in used):
        return "it has no trust root that can be read: give it new ones: firstlight inject"
    if all(root.ends_at is None or root.ends_at <= found.read_at for root in used):
        return f"its trust roots expired ({used[0].subject}): new ones: firstlight inject"
    if found.dps is not None and not found.dps.trusted:
        return (
            f"its trust roots do not vouch for DPS's certificate ({found.dps.told}): give it the "
            f"roots of {found.identity.endpoint if found.identity else 'DPS'}: firstlight inject, "
            "--root"
        )
    return ""


def _unknown_to_dps(found: Findings) -> str:
    dps, me = found.dps, found.identity
    if dps is None or me is None:
        return ""
    if dps.status == 404:
        return (
            f"DPS knows no registration of {me.registration_id} in {me.id_scope} (404): if it had "
            "no network since it was injected, give it one and let it boot; else check the ID "
            "scope, and enroll it: firstlight enroll"
        )
    if dps.state == "failed":
        return f"its registration failed at DPS ({dps.told}): look at the enrollment's hubs"
    if dps.status in (400, 403, 405):
        return f"DPS refuses it ({dps.status} {dps.told}): check its ID scope, {me.id_scope}"
    if dps.status and dps.state != "assigned":
        return (
            f"DPS has not assigned it to a hub ({dps.status} {dps.state or dps.told}): ask again "
            "in a minute; if it stays so, look at the enrollment's hubs"
        )
    return ""


def _other_firmware(found: Findings) -> str:
    if found.files is not None and found.files.differing:
        some = _some(found.files.differing)
        return f"its firmware is another release's ({some} differ): update it: firstlight inject"
    return ""


def _full(found: Findings) -> str:
    if found.free_bytes is not None and found.free_bytes < FULL_BYTES:
        return (
            f"its flash is full ({found.free_bytes} bytes free): remove what app.py wrote, or "
            "erase it and start over: firstlight flash"
        )
    return ""


def _last_error(found: Findings) -> str:
    life = found.life
    if life.app:
        return f"its app.py fails ({life.app}): mend it, and inject it: --app"
    if life.phase == "fault":
        return f"its firmware met a bug ({life.error}): report it with what is below"
    error = life.heard or life.error
    if error:
        return (
            f"its last try failed ({error}), and what is below shows no cause: let it run, and "
            "watch its console"
        )
    return ""


# In order of cause. What DPS says is certain wherever the bench is; the network may be there.
_CAUSES: tuple[Cause, ...] = (
    _no_micropython,
    _no_firmware,
    _no_identity,
    _foreign_key,
    bad_certificate,
    unproven,
    refused_by_dps,
    _refused_by_dps,
    _no_network,
    _no_time,
    _no_trust,
    _unknown_to_dps,
    refused_by_hub,
    _other_firmware,
    _full,
    _last_error,
)


def _unseen(found: Findings) -> str:
    """What a good verdict does not rest on."""
    if found.dps is None:
        return "DPS was not asked"
    if not found.dps.status:
        return f"DPS could not be asked from here ({found.dps.told})"
    if found.identity and not found.identity.ethernet and not _was_on_air(found):
        return "whether it gets onto its network was not seen"
    return ""


def _told_before(found: Findings) -> str:
    """What it met earlier, and got over."""
    if found.life.before:
        return f"before its last reset it met this: {found.life.before}"
    if found.life.reset == "watchdog":
        return "its last reset was its watchdog's: something had hung"
    return ""


def _was_on_air(found: Findings) -> bool:
    return found.air is not None and bool(found.air.address)


def _some(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _joined(names: tuple[str, ...]) -> str:
    return ", ".join(names)
