"""A board's facts, read through its REPL: one question at a time, each bounded.

Never writes to the board. What one question cannot have, because the firmware is damaged or there
is none, is None, and the others go on; a board that goes away ends it (BoardError).
"""

import json
import re
import time
from binascii import a2b_base64
from collections.abc import Sequence
from dataclasses import dataclass, fields
from hashlib import sha256
from types import NoneType
from typing import Any

from ..keys import FINGERPRINT_TEXT, fingerprint_of
from ..repl import BoardExecError, Repl
from ..stage import StagedFile, loads_mpy, plan
from . import certificates, probes
from .findings import Air, Assignment, Chain, Files, Identity, Life, Root, Trial

_TOKEN_S = 300
_AT_ONCE = 32  # paths in a question
_TRIAL = ("good", "trial", "tries", "asked")
_HOST = re.compile("[A-Za-z0-9.-]{1,253}")
_JOIN_S = 25  # for a network (firmware/wifi.py)
_KEYS = ("primary", "secondary")
_MOST_NETWORKS = 8  # of an identity
_MOST_IN_CHAIN = 4
_SCAN_S = 30


@dataclass(frozen=True)
class Kept:
    """What the board keeps beside its files. renewed: the name of the leaf that renewal is of."""

    assignment: Assignment | None = None
    trial: Trial | None = None
    renewal: Trial | None = None
    renewed: str = ""
    stored: int | None = None


class Reading:
    """What the board behind an open Repl says, each as findings.py has it."""

    def __init__(self, repl: Repl) -> None:
        self._repl = repl

    def files(self, mpy: int) -> Files:
        """Its firmware beside this release's. mpy: sys.implementation._mpy."""
        as_mpy = loads_mpy(mpy)
        sources = {file.path: file for file in plan(False, {})}
        wanted = plan(True, {}) if as_mpy else list(sources.values())
        paths = [path for file in wanted for path in (file.path, file.rival) if path]
        there: dict[str, str] = {}
        for at in range(0, len(paths), _AT_ONCE):
            there |= self._repl.hashes(paths[at : at + _AT_ONCE])
        missing, differing = [], []
        for file in wanted:
            path, digest = _in_effect(file, there)
            if not digest:
                missing.append(file.path)
            elif not file.keep and digest not in _right(file, sources, path):
                differing.append(path)
        own = any(digest and path.startswith("/aziot/") for path, digest in there.items())
        return Files(own, tuple(missing), tuple(differing))

    def identity(self) -> tuple[Identity | None, str]:
        """The identity, or None and why there is none.

        "unread": it could not be told; "no room": the board's memory does not hold the question.
        """
        try:
            told = _object(self._repl.exec(probes.IDENTITY % FINGERPRINT_TEXT))
        except BoardExecError as error:
            return None, "no room" if error.kind == "MemoryError" else "unread"
        if "wrong" in told:
            return None, _plain(told["wrong"]) or "unread"
        try:
            marks = {n: told["marks"][n] for n in _KEYS if n in told["marks"]}
            port = told["https_port"]
            is_port = type(port) is int and 1 <= port <= 65535
            if not _HOST.fullmatch(told["endpoint"]) or not is_port:
                return None, "unread"
            return Identity(
                _plain(told["id_scope"]),
                _plain(told["registration_id"]),
                told["endpoint"],
                port,
                tuple(_plain(name) for name in told["networks"][:_MOST_NETWORKS]),
                bool(told["ethernet"]),
                {n: fingerprint_of(bytes.fromhex(mark)) for n, mark in marks.items()},
                told.get("x509") is True,
                told.get("csr") is True,
            ), ""
        except (KeyError, TypeError, ValueError, AttributeError):
            return None, "unread"

    def life(self, heard: Life) -> Life:
        """What it did, and what it met; what it does not say is as it was heard before."""
        told = self._asked(probes.LIFE)
        known = {one.name: getattr(heard, one.name) for one in fields(Life)}
        for name, usual in known.items():
            value = told.get(name)
            is_text = isinstance(usual, str)
            if is_text and isinstance(value, str) and not usual:
                known[name] = _plain(value)
            elif type(usual) in (int, NoneType) and type(value) is int and value >= 0:
                known[name] = value
        return Life(**known)

    def store(self) -> Kept:
        """The hub that it keeps, its newer roots and certificates, and how many messages wait."""
        told = self._asked(probes.STORE)
        kept, stored = told.get("assignment"), told.get("stored")
        assignment = None
        if isinstance(kept, dict) and isinstance(kept.get("hub"), str):
            names = (_plain(kept.get(name)) for name in ("hub", "device_id", "whose"))
            assignment = Assignment(*names)
        trial, renewal = (_trial(told.get(name)) if told else None for name in ("roots", "cert"))
        cert = told.get("cert")
        renewed = _plain(cert.get("whose")) if isinstance(cert, dict) else ""
        count = stored if type(stored) is int else None
        return Kept(assignment, trial, renewal, renewed, count)

    def factory_chain(self) -> list[bytes]:
        """The DER of the certificates in its identity, leaf first."""
        lines = self._text(probes.CHAIN).splitlines()[:_MOST_IN_CHAIN]
        return [_unb64(line.strip()) for line in lines]

    def chains(
        self, me: Identity, kept: Kept, factory: Sequence[bytes]
    ) -> tuple[tuple[Chain, ...], Trial | None]:
        """The certificates that it proves itself with, the factory's first; and which it uses."""
        first = certificates.chain(0, factory, me.registration_id)
        leaf, found = first.leaf, [first]
        if leaf is None or kept.renewal is None or kept.renewed != leaf.fingerprint[:16]:
            return (first,), None
        for number in sorted({kept.renewal.good, kept.renewal.newest} - {0}):
            ders = [der for _, der in sorted(self._ders(f"/cert{number}"))]
            found.append(certificates.chain(number, ders, me.registration_id))
        return tuple(found), kept.renewal

    def make_room(self) -> None:
        """Let go of what ran on the board, once it was asked."""
        self._text(probes.ROOM)

    def roots(self, trial: Trial | None) -> tuple[tuple[Root, ...], list[bytes]]:
        """Its trust roots; and the DER of those that its next connection trusts."""
        numbers = dict.fromkeys([0, *((trial.good, trial.newest) if trial else ())])
        found: list[Root] = []
        used: list[bytes] = []
        for number in numbers:
            folder = f"/roots{number or ''}"
            for name, der in self._ders(folder):
                found.append(certificates.read(folder, name, der))
                if number == (trial.in_use if trial else 0) and found[-1].ends_at is not None:
                    used.append(der)
        return tuple(found), used

    def clock_off_s(self) -> int | None:
        """By how many seconds its clock is ahead of this PC's."""
        text = self._text(probes.CLOCK)
        return int(text) - round(time.time()) if text.isdecimal() and len(text) < 12 else None

    def free_bytes(self) -> int | None:
        """Room left in its file system."""
        text = self._text(probes.FREE)
        return int(text) if text.isdecimal() and len(text) < 16 else None

    def air(self, networks: Sequence[str], join: bool) -> Air | None:
        """What its radio hears. join: have it join, if it is on no network: one may be hidden."""
        wanted = [name.encode() for name in networks]
        told = self._asked(probes.AIR % (wanted,), _SCAN_S)
        signals = told.get("signals")
        if not isinstance(signals, dict):
            return None
        heard = {_plain(name): int(dbm) for name, dbm in signals.items() if type(dbm) is int}
        address, refused = _plain(told.get("address")), ""
        if join and not address:
            tried = self._asked(probes.JOIN, _JOIN_S * len(networks) + _SCAN_S)
            address, refused = _plain(tried.get("address")), _plain(tried.get("refused"))
        others = told.get("others")
        return Air(heard, others if type(others) is int else 0, address, refused)

    def token(self, which: str) -> str:
        """A token for DPS, of five minutes, signed by one of its keys; "" if it cannot."""
        expires_at = int(time.time()) + _TOKEN_S
        text = self._text(probes.SIGNED % (which, expires_at))
        return text if text.startswith("SharedAccessSignature ") and text.isprintable() else ""

    def _ders(self, folder: str) -> list[tuple[str, bytes]]:
        found = []
        for line in self._text(probes.ROOTS % folder).splitlines():
            name, _, text = line.strip().partition(" ")
            found.append((_plain(name), _unb64(text)))
        return found

    def _asked(self, code: str, timeout_s: float | None = None) -> dict[str, Any]:
        """The JSON object that code prints; {} if it fails there, or prints something else."""
        return _object(self._text(code, timeout_s))

    def _text(self, code: str, timeout_s: float | None = None) -> str:
        try:
            return self._repl.exec(code, timeout_s).decode("utf-8", "replace").strip()
        except BoardExecError:
            return ""


def _object(text: bytes | str) -> dict[str, Any]:
    """The JSON object that it is; {} for anything else."""
    try:
        found = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _in_effect(file: StagedFile, there: dict[str, str]) -> tuple[str, str]:
    """The path that Python takes, and what lies there: source before compiled."""
    by_path = [(path, there.get(path, "")) for path in (file.path, file.rival or "")]
    by_path.sort(key=lambda one: not one[0].endswith(".py"))
    return next(((path, digest) for path, digest in by_path if digest), (file.path, ""))


def _right(file: StagedFile, sources: dict[str, StagedFile], path: str) -> set[str]:
    """The digests that a file at path may have."""
    found = sources.get(path)
    data = file.data if path == file.path else found.data if found else b""
    return {sha256(data).hexdigest()}


def _trial(found: Any) -> Trial | None:
    """A record of what is on trial; None if it is not one, and all 0 if there is none."""
    numbers = [found.get(n, 0) if isinstance(found, dict) else 0 for n in _TRIAL]
    return Trial(*numbers) if all(type(n) is int and n >= 0 for n in numbers) else None


def _unb64(text: str) -> bytes:
    try:
        return a2b_base64(text)
    except ValueError:
        return b""


def _plain(text: Any) -> str:
    """What a board said may be anything: it must not steer the terminal that shows it."""
    return "".join(c if c.isprintable() else "?" for c in str(text or "")[:400])
