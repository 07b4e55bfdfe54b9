"""What verbs take to open a batch's CA: `--ca DIR --ca-passphrase SOURCE --batch NAME`.

Never takes a passphrase itself from the command line.
"""

import sys
from pathlib import Path
from typing import Any

import click

from ..ca.authority import Authority, open_authority
from ..ca.signers import Passphrases
from ..errors import UsageError
from . import options
from .options import source_option


def ca_options(verb: Any) -> Any:
    """The three options of a verb that gives boards certificates: ca, ca_passphrase, batch."""
    for option in (
        click.option("--batch", metavar="NAME", help="The CA's batch; without, the current one."),
        source_option("--ca-passphrase", "the passphrase of the batch's key, or its token's PIN"),
        click.option(
            "--ca",
            type=click.Path(exists=True, file_okay=False, path_type=Path),
            metavar="DIR",
            help="The CA's folder (firstlight ca init): a certificate to each board, not a key.",
        ),
    ):
        verb = option(verb)
    return verb


def authority(ca: Path, ca_passphrase: str | None, batch: str | None) -> Authority:
    """Open the batch's CA that the options name. Raises UsageError; ToolError if a token fails."""
    return open_authority(ca, batch, ca_passphrase, options.custody(), flag="--ca-passphrase")


def passphrases(batch: str | None, root: str | None = None) -> Passphrases:
    """Where the passphrases of a CA's keys are, to be read when they are needed."""
    return Passphrases(options.custody(), batch, root)


def new_passphrases(batch: str | None, root: str | None = None) -> Passphrases:
    """The same for keys that are made now: what is typed is asked for twice."""
    found = passphrases(batch, root)
    if sys.stdin is not None and sys.stdin.isatty():
        for name, source in (("root", root), ("the batch", batch)):
            if source == "-":
                _ask_twice(found, name)
    return found


def _ask_twice(found: Passphrases, name: str) -> None:
    first = found.of(name)
    if options.secret("-", f"the passphrase of {name}'s key once more") != first:
        raise UsageError("the two passphrases are not the same; begin again")
