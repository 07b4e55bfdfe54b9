"""What is wrong with the certificates that a board proves itself with, in one sentence; pure.

As verdict.py's causes: each a sentence, or "" if it is not that. Never guesses.
"""

from datetime import UTC, datetime

from .findings import Findings, used_chain

_DAY_S = 86400
_OLDER = "the certificate that it uses now is not good, and an older one is"
SOON_S = 30 * _DAY_S  # a certificate that ends within so much is told of, or in its last third


def bad_certificate(found: Findings) -> str:
    """Return what is wrong if no chain of it is one that a service takes."""
    chains, now_at = found.chains, found.read_at
    if not chains or any(chain.is_good_at(now_at) for chain in chains):
        return ""
    chain = used_chain(found) or chains[0]
    if chain.fault:
        return (
            f"its certificates do not fit together ({chain.fault}): give it a new identity: "
            "firstlight inject"
        )
    late = [one for one in chain.certificates if one.ends_at <= now_at]
    if late:
        return (
            f"its certificate expired ({late[0].subject}, {date(late[0].ends_at)}), and nothing "
            "lets it in by that: give it a new identity: firstlight inject"
        )
    early = next(one for one in chain.certificates if one.begins_at > now_at)
    return (
        f"its certificate is good only from {date(early.begins_at)} on ({early.subject}): the "
        "clock of who signed it was ahead, or this PC's is behind: set it, or inject it anew"
    )


def unproven(found: Findings) -> str:
    """Return that its key is not its certificate's, or that TLS takes neither."""
    if not found.unproven:
        return ""
    return (
        f"it cannot prove its certificate ({found.unproven}): give it a new identity: "
        "firstlight inject"
    )


def refused_by_dps(found: Findings) -> str:
    """Return what is wrong if DPS refuses its certificate."""
    dps, me = found.dps, found.identity
    if dps is None or me is None or not me.by_certificate or dps.status != 401:
        return ""
    return _outlived(found) or (
        f"DPS refuses its certificate (401 {dps.told}): {me.registration_id} is enrolled in "
        f"{me.id_scope} by another one, revoked, or not at all; or its CA is not verified there: "
        "look with firstlight enroll list group, and enroll the CA of its batch"
    )


def _outlived(found: Findings) -> str:
    """Return that one that was issued lives on where the factory's has expired, or ""."""
    factory, used = found.chains[0] if found.chains else None, used_chain(found)
    if factory is None or used is None or factory.leaf is None or used.leaf is None:
        return ""
    if not factory.leaf.ends_at <= found.read_at < used.leaf.ends_at:
        return ""
    return (
        f"the factory's certificate expired ({date(factory.leaf.ends_at)}), and DPS takes no "
        f"other of it: it works until {date(used.leaf.ends_at)}, when the one that was issued "
        "ends: give it a new identity before that: firstlight inject"
    )


def refused_by_hub(found: Findings) -> str:
    """Return what is wrong if its hub refuses what DPS lets in; else what DPS says comes first."""
    me, said = found.identity, found.life.heard or found.life.error
    is_in = found.dps is not None and found.dps.state == "assigned"
    if me is None or not me.by_certificate or not is_in or "CONNACK refused" not in said:
        return ""
    hub = found.assignment.hub if found.assignment else found.dps.hub if found.dps else "its hub"
    return (
        f"{hub} refuses its certificate ({said}), and DPS does not: it is disabled in the hub's "
        "registry, or known there by another certificate: enable it, or delete it there, and it "
        "registers anew"
    )


def expiry(found: Findings) -> str:
    """Return that the certificate in use ends soon, or is no good while an older one is; or ""."""
    chain, now_at = used_chain(found), found.read_at
    if chain is None:
        return ""
    leaf = chain.leaf
    if leaf is None:
        return _OLDER
    left_s = min(one.ends_at for one in chain.certificates) - now_at
    if 0 < left_s <= min(SOON_S, (leaf.ends_at - leaf.begins_at) // 3):
        way = (
            "it asks DPS for the next"
            if found.identity and found.identity.renews
            else ("it cannot ask for another: inject it anew before that")
        )
        days = max(1, left_s // _DAY_S)
        return f"its certificate expires in {days} day{'s' * (days > 1)}, and {way}"
    if left_s <= 0 or chain.fault:
        return _OLDER
    return ""


def date(at: int) -> str:
    """Unix seconds as a day."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")
