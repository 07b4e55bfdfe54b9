"""What was found on a board, as values; pure.

Holds no secret: of a key its fingerprint, of a network its name. None: it could not be read, or
was not asked for.
"""

from dataclasses import asdict, dataclass, field
from typing import Any

CLOCK_S = 300  # off by so much, a token or a certificate may be refused


@dataclass(frozen=True)
class Files:
    """The firmware on the board beside this release's, by path; own: it has files of ours."""

    own: bool
    missing: tuple[str, ...] = ()
    differing: tuple[str, ...] = ()


@dataclass(frozen=True)
class Identity:
    """The identity without its secrets. fingerprints: of its keys, by name (keys.fingerprint).

    by_certificate: it has no keys, but certificates (Chain). renews: and a CSR, to ask for more.
    """

    id_scope: str
    registration_id: str
    endpoint: str
    https_port: int
    networks: tuple[str, ...] = ()
    ethernet: bool = False
    fingerprints: dict[str, str] = field(default_factory=dict)
    by_certificate: bool = False
    renews: bool = False


@dataclass(frozen=True)
class Certificate:
    """What one says. fingerprint: SHA-256 of its DER, in hex; the times are Unix seconds."""

    subject: str
    issuer: str
    fingerprint: str
    begins_at: int
    ends_at: int


@dataclass(frozen=True)
class Chain:
    """What the board shows of itself in TLS, leaf first. number: 0 for the factory's, or issued.

    fault: why no service takes it, whatever its date; "" if it fits together.
    """

    number: int
    certificates: tuple[Certificate, ...] = ()
    fault: str = ""

    @property
    def leaf(self) -> Certificate | None:
        """The board's own."""
        return self.certificates[0] if self.certificates else None

    def is_good_at(self, at: int) -> bool:
        """Whether it would be taken at a time, as far as it can be told from itself."""
        dated = all(one.begins_at <= at < one.ends_at for one in self.certificates)
        return bool(self.certificates) and dated and not self.fault


@dataclass(frozen=True)
class Life:
    """What the board says of its life; "" and None: it does not say.

    phase and error: of this one; before: the last error before its last reset; reset: why it
    started; heard: its last failure on the console, in full; waiting: messages in memory; app: the
    kind of error that app.py raised; noisy: something came over the console, whatever it was.
    """

    phase: str = ""
    error: str = ""
    before: str = ""
    heard: str = ""
    reset: str = ""
    boots: int | None = None
    sent: int | None = None
    dropped: int | None = None
    waiting: int | None = None
    up_s: int | None = None
    app: str = ""
    noisy: bool = False


@dataclass(frozen=True)
class Assignment:
    """The hub that the board keeps. whose: the identity that it was assigned for (wake.py)."""

    hub: str
    device_id: str
    whose: str

    def is_of(self, me: Identity | None) -> bool:
        """Whether that is the identity which is there now."""
        whose = me and f"{me.endpoint}/{me.id_scope}/{me.registration_id}"
        return self.whose == whose


@dataclass(frozen=True)
class Air:
    """What the radio hears. signals: dBm by the identity's networks that are in the air.

    others: how many more; address: "" if the board is on no network; refused: why it did not get
    onto one, "" if it did or did not try.
    """

    signals: dict[str, int] = field(default_factory=dict)
    others: int = 0
    address: str = ""
    refused: str = ""


@dataclass(frozen=True)
class Root:
    """A trust root. ends_at: Unix seconds; None: it is no certificate."""

    folder: str
    name: str
    subject: str
    fingerprint: str
    ends_at: int | None


@dataclass(frozen=True)
class Trial:
    """The newer roots, by number, or certificates; 0: the factory's (firmware/trust.py).

    asked_at: when a certificate was asked for last, Unix seconds; 0: never.
    """

    good: int
    newest: int
    tries: int
    asked_at: int = 0

    @property
    def in_use(self) -> int:
        """Whose turn it is."""
        return self.newest if self.newest != self.good and self.tries < 3 else self.good


@dataclass(frozen=True)
class Dps:
    """What DPS says of the device. status: HTTP's, 0 for no answer; state: the registration's.

    key: which of its keys was signed with, or what it showed; trusted: whether the board's roots
    vouch for DPS.
    """

    status: int = 0
    state: str = ""
    hub: str = ""
    told: str = ""
    key: str = "primary"
    trusted: bool = True


@dataclass(frozen=True)
class Findings:
    """All of it. read_at: Unix seconds, the PC's. wrong: why there is no identity.

    in_group: whether its key is the named group's, or its certificates lead to the named CA.
    unproven: why its key is not its certificate's; "" if nothing says so.
    """

    port: str
    read_at: int
    micropython: str = ""
    machine: str = ""
    too_old: bool = False
    chip_id: str = ""
    files: Files | None = None
    identity: Identity | None = None
    wrong: str = ""
    in_group: bool | None = None
    chains: tuple[Chain, ...] | None = None
    unproven: str = ""
    renewal: Trial | None = None
    life: Life = Life()
    assignment: Assignment | None = None
    stored: int | None = None
    free_bytes: int | None = None
    clock_off_s: int | None = None
    air: Air | None = None
    roots: tuple[Root, ...] | None = None
    trial: Trial | None = None
    dps: Dps | None = None

    def as_json(self) -> dict[str, Any]:
        """The same, as JSON takes it."""
        return asdict(self)


def used_chain(findings: Findings) -> Chain | None:
    """What the board shows a hub next: the newest that was issued, or the factory's."""
    number = findings.renewal.in_use if findings.renewal else 0
    by_number = {chain.number: chain for chain in findings.chains or ()}
    return by_number.get(number) or by_number.get(0)


def used_roots(findings: Findings) -> list[Root]:
    """The roots that the board's next connection trusts."""
    number = findings.trial.in_use if findings.trial else 0
    folder = f"/roots{number or ''}"
    return [root for root in findings.roots or () if root.folder == folder]
