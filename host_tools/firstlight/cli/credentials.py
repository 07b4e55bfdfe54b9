"""What boards prove themselves with, as options: a group's key, a CA, or what one device has.

Exactly one of them is named. Opens each once, before any board is touched; makes nothing itself.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import UsageError
from .caoptions import authority, ca_options
from .options import group_key, group_key_option, key, secret, source_option

if TYPE_CHECKING:
    from ..line.credentials import Credentials, Made

_MOST_PEM = 65536  # bytes of a file with certificates
_AT = "%Y-%m-%d %H:%M UTC"
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_CA = ("ca_passphrase", "batch")
_BY_HAND = ("certificate_key", "certificate_passphrase", "csr")
# What goes with which of the four, and nothing else.
_GOES_WITH = {
    "group_key": ("secondary_group_key",),
    "device_key": (),
    "ca": _CA,
    "certificate": _BY_HAND,
}


@dataclass(frozen=True)
class Chosen:
    """What boards are given. name: of the one device that it is for; None: of any."""

    make: "Callable[[str], Made]"
    name: str | None = None


def key_options(verb: Any) -> Any:
    """The options for what a board gets, and how it is named: see chosen()."""
    options = (
        group_key_option("--group-key", "the enrollment group's key, to derive the device's from"),
        group_key_option(
            "--secondary-group-key", "its secondary key, for the device to fall back on"
        ),
        source_option("--device-key", "the device's own key, of an individual enrollment"),
        ca_options,
        click.option(
            "--certificate",
            type=_FILE,
            help="The device's own certificate (PEM), made by hand; after it its issuers, if any.",
        ),
        click.option(
            "--certificate-key",
            metavar="SOURCE",
            help="Its private key (PEM). Named by where it is kept: file:PATH, env:NAME or "
            "keyring:SERVICE/USER.",
        ),
        source_option("--certificate-passphrase", "the passphrase of that key, if it has one"),
        click.option(
            "--csr", type=_FILE, help="A signing request (PEM) by that key, to renew it by."
        ),
        click.option(
            "--registration-id",
            help="By default made of the chip's unique id; of a certificate its common name.",
        ),
    )
    return reduce(lambda done, option: option(done), reversed(options), verb)


def line_key_options(verb: Any) -> Any:
    """The options for what the units of a line get: see of_line()."""
    options = (
        group_key_option("--group-key", "the enrollment group's key"),
        group_key_option(
            "--secondary-group-key", "its secondary key, for devices to fall back on"
        ),
        ca_options,
    )
    return reduce(lambda done, option: option(done), reversed(options), verb)


def chosen(wishes: Mapping[str, Any]) -> Chosen:
    """Open what was named. Raise UsageError; ToolError if a token fails."""
    which = _the_one(wishes, tuple(_GOES_WITH))
    if which == "device_key":
        return _of_device_key(key(wishes["device_key"], "the device key"))
    if which == "certificate":
        return _by_hand(wishes)
    return Chosen(of_line(wishes).make)


def of_line(wishes: Mapping[str, Any]) -> "Credentials":
    """Open a group's keys or a CA. Raise UsageError; ToolError if a token fails."""
    from ..line.credentials import Certificates, GroupKeys  # noqa: PLC0415  slow to import

    if _the_one(wishes, ("group_key", "ca")) == "ca":
        return Certificates(authority(wishes["ca"], wishes["ca_passphrase"], wishes["batch"]))
    second = wishes["secondary_group_key"]
    return GroupKeys(
        group_key(wishes["group_key"], "the group key"),
        None if second is None else group_key(second, "the secondary group key"),
    )


def _the_one(wishes: Mapping[str, Any], ways: tuple[str, ...]) -> str:
    """Which of the ways was named; raise UsageError unless it is one, with what belongs to it."""
    given = [way for way in ways if wishes[way] is not None]
    if len(given) != 1:
        *most, last = map(_flag, ways)
        raise UsageError(f"name either {', '.join(most)} or {last}")
    for way in ways:
        for other in _GOES_WITH[way]:
            if wishes[other] is not None and way not in given:
                raise UsageError(
                    f"{_flag(other)} goes with {_flag(way)}, not with {_flag(given[0])}"
                )
    return given[0]


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _of_device_key(key_b64: str) -> Chosen:
    from ..line.credentials import Made  # noqa: PLC0415  slow to import

    return Chosen(lambda _: Made({"symmetric_key": {"primary": key_b64}}, {}))


def _by_hand(wishes: Mapping[str, Any]) -> Chosen:
    from ..ca.certificate import load_device_certificate  # noqa: PLC0415  slow to import
    from ..line.credentials import given  # noqa: PLC0415

    if wishes["certificate_key"] is None:
        raise UsageError("a --certificate needs its --certificate-key")
    if wishes["certificate_key"] == "-":  # of which a secret is one line
        raise UsageError(
            "the certificate's key is PEM, of many lines, and is not read from standard input: "
            "name a file that is yours alone, file:PATH, or a variable, env:NAME"
        )
    private = secret(wishes["certificate_key"], "the certificate's key")
    source = wishes["certificate_passphrase"]
    loaded = load_device_certificate(
        _read(wishes["certificate"]),
        private.encode(),
        None if source is None else secret(source, "the passphrase of the certificate's key"),
        None if wishes["csr"] is None else _read(wishes["csr"]),
    )
    _check_times(loaded.chain, datetime.now(UTC))
    name = loaded.registration_id
    if wishes["registration_id"] not in (None, name):
        raise UsageError(
            f"the certificate is of {name}, and DPS wants that as registration id: leave "
            "--registration-id out, or make a certificate of that common name"
        )
    return Chosen(lambda _: given(loaded), name)


def _check_times(chain: Sequence[bytes], now: datetime) -> None:
    """Raise UsageError for a certificate that nobody would take now."""
    from cryptography import x509  # noqa: PLC0415  slow to import

    for number, der in enumerate(chain, 1):
        one = x509.load_der_x509_certificate(der)
        if not one.not_valid_before_utc <= now <= one.not_valid_after_utc:
            raise UsageError(
                f"certificate {number} of the chain is good from {one.not_valid_before_utc:{_AT}} "
                f"to {one.not_valid_after_utc:{_AT}}, and this PC's clock says {now:{_AT}}: make "
                "another, or set the clock"
            )


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            raw = file.read(_MOST_PEM + 1)
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None
    if len(raw) > _MOST_PEM:
        raise UsageError(f"{path} is too long to be certificates")
    return raw
