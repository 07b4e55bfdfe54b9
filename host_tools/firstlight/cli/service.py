"""What the verbs that call DPS's service API take alike: its connection string, and a root.

Apart from the other options: the library for it takes longer to import than most verbs run.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from .. import azure
from .options import secret, source_option


def service_options(verb: Callable[..., Any]) -> Callable[..., Any]:
    """--connection and --root, for verbs that call the service."""
    root = click.option(
        "--root",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="Trust this root certificate (PEM) instead of the public ones: a local Azure's.",
    )
    connection = source_option("--connection", "the DPS instance's connection string", True)
    return connection(root(verb))


def certificate_option(flag: str, what: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """An option for a certificate's file. what: whose it is."""
    path = click.Path(exists=True, dir_okay=False, path_type=Path)
    return click.option(flag, type=path, metavar="FILE", help=f"{what} (PEM or DER, no key).")


def service(connection: str, root: Path | None) -> azure.Service:
    """The service behind the two options above."""
    text = secret(connection, "the connection string")
    return azure.Service(azure.parse_connection(text), root)
