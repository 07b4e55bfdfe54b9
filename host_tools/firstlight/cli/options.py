"""What several verbs take alike: secrets by where they are kept, a service, a root.

Never takes a secret itself from the command line.
"""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from .. import azure, keys
from ..custody import SOURCES, Custody

Decorate = Callable[[Callable[..., Any]], Callable[..., Any]]

_custody = Custody(os.environ, sys.stdin)  # stdin is None if the caller closed it


def secret(source: str, what: str) -> str:
    """Read a secret from where the user said it is kept."""
    return _custody.read(source, what)


def key(source: str, what: str) -> str:
    """Read a base64 key that DPS would take, from where the user said it is kept."""
    return keys.checked(secret(source, what), what)


def source_option(flag: str, what: str, required: bool = False) -> Decorate:
    """An option for a secret: its value says where the secret is kept."""
    return click.option(
        flag, metavar="SOURCE", required=required, help=f"Where {what} is kept: {SOURCES}."
    )


def service_options(verb: Callable[..., Any]) -> Callable[..., Any]:
    """--connection and --root, for verbs that call the service."""
    root = click.option(
        "--root",
        type=click.Path(exists=True, dir_okay=False, path_type=Path),
        help="Trust this root certificate (PEM) instead of the public ones: a local Azure's.",
    )
    connection = source_option("--connection", "the DPS instance's connection string", True)
    return connection(root(verb))


def service(connection: str, root: Path | None) -> azure.Service:
    """The service behind the two options above."""
    text = secret(connection, "the connection string")
    return azure.Service(azure.parse_connection(text), root)
