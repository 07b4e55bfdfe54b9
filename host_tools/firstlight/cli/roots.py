"""`firstlight roots`: new trust roots for boards in the field, signed for them to take.

Takes files apart and puts them together; what a bundle is, rootbundle.py knows. Never prints a
private key.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from .. import rootbundle
from ..custody import write_private
from ..errors import ToolError, UsageError
from ..roots import azure_roots, content, roots_from
from .options import Decorate, secret, source_option

_LONGEST_JSON = 1 << 16  # bytes
_LONGEST_PEM = 1 << 14


def roots_key_option(required: bool, why: str) -> Decorate:
    """--roots-key, for verbs that need no more than its public half."""
    return click.option(
        "--roots-key",
        required=required,
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help=f"The key that signs new roots, or its public half (PEM): {why}.",
    )


def public_key_from(path: Path) -> RSAPublicKey:
    """The public half of the key in a PEM file, whichever half is there. Raise UsageError."""
    return rootbundle.public_key(_text(path, _LONGEST_PEM, "roots key"))


@click.group()
def roots() -> None:
    """Renew the trust roots of boards in the field.

    \b
    Once:            firstlight roots key --out roots.key
    For each board:  firstlight inject ... --roots-key roots.key.pub
    When it is due:  firstlight roots sign --key file:roots.key --version 2 --azure --out new.json
                     firstlight roots show new.json --roots-key roots.key.pub
                     as the payload of the direct method firstlight*renewRoots, or with
                     `sign --twin` as a desired property, send it to the boards

    A board tries new roots with its next connection, keeps them if its hub answers, and goes back
    to the ones before if three connections fail over them. It takes no version twice.
    """


@roots.command("key")
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path),
    help="Write the private key here, readable by you alone, and its public half to OUT.pub.",
)
def new_key(out: Path) -> None:
    """Make the key that signs new roots. Who has it can have your boards trust anyone.

    Boards need only the public half; keep the private one off the line's computers.

    \b
    Example:
      firstlight roots key --out roots.key
    """
    public = out.with_name(out.name + ".pub")
    if public.exists():
        raise ToolError(f"{public} is there already; move it away, or name another file")
    pem = rootbundle.make_key()
    key = rootbundle.public_key(pem)
    write_private(out, pem)
    _write(public, rootbundle.public_pem(key))
    click.echo(f"{out}: the private key; {public}: its public half, for `inject --roots-key`")
    click.echo(f"fingerprint (SHA-256): {rootbundle.fingerprint(key)}")
    click.echo(f"modulus (an identity's roots_key): {rootbundle.modulus_b64(key)}")


@roots.command()
@source_option("--key", "the private key of `roots key`", required=True)
@click.option(
    "--version",
    required=True,
    type=click.IntRange(1, rootbundle.NEWEST),
    help="The bundle's number: greater than any that a board has seen. The factory's are 0.",
)
@click.option(
    "--root",
    "pems",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A root certificate (PEM); may be repeated.",
)
@click.option("--azure", is_flag=True, help="The two that Azure's endpoints chain to today.")
@click.option("--twin", is_flag=True, help="As a twin's desired property, to be patched in.")
@click.option("--out", type=click.Path(path_type=Path), help="Write here, not to the screen.")
def sign(
    key: str, version: int, pems: tuple[Path, ...], azure: bool, twin: bool, out: Path | None
) -> None:
    """Sign a bundle of one to four roots. It replaces all that a board has from earlier bundles.

    \b
    Examples:
      firstlight roots sign --key file:roots.key --version 2 --azure --out new.json
      firstlight roots sign --key file:roots.key --version 3 --azure --root own.pem --twin
    """
    ders = list(azure_roots().values()) if azure else []
    for pem in pems:
        ders += roots_from(pem).values()
    if not ders:
        raise UsageError("name the roots, with --root or --azure")
    private = rootbundle.private_key(secret(key, "the roots key"))
    bundle = rootbundle.signed(private, version, ders, datetime.now(UTC))
    text = json.dumps(rootbundle.as_twin(bundle) if twin else bundle)
    if out is None:
        click.echo(text)
    else:
        _write(out, text + "\n")


@roots.command()
@click.argument("bundle", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@roots_key_option(True, "who must have signed the bundle")
def show(bundle: Path, roots_key: Path) -> None:
    """Check a bundle as a board would, and show what is in it.

    \b
    Example:
      firstlight roots show new.json --roots-key roots.key.pub
    """
    key = public_key_from(roots_key)
    found = rootbundle.parse(_json(bundle))
    if not found.is_signed_by(key):
        raise UsageError(f"{bundle} is not signed by the key {rootbundle.fingerprint(key)}")
    click.echo(f"version {found.version}, signed by {rootbundle.fingerprint(key)}")
    for der in found.ders:
        day, name = rootbundle.last_day(der), rootbundle.subject(der)
        click.echo(f"{rootbundle.digest(der)}  until {day}  {len(der):4} bytes  {name}")


def _json(path: Path) -> Any:
    try:
        return json.loads(_text(path, _LONGEST_JSON, "bundle"))
    except (ValueError, RecursionError):
        raise UsageError(f"{path} is not JSON") from None


def _text(path: Path, longest: int, what: str) -> str:
    try:
        return content(path, longest, what).decode("ascii")
    except UnicodeDecodeError:
        raise UsageError(f"{path} is no {what}: it is not text") from None


def _write(path: Path, text: str) -> None:
    """Write a new file that anyone may read."""
    try:
        with path.open("x", encoding="ascii") as file:
            file.write(text)
    except FileExistsError:
        raise ToolError(f"{path} is there already; move it away, or name another file") from None
    except OSError as error:
        raise ToolError(f"{path} cannot be written: {error.strerror}") from None
