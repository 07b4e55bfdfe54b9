"""What several verbs take alike: secrets, by where they are kept.

Never takes a secret itself from the command line.
"""

import os
import sys
from collections.abc import Callable
from typing import Any

import click

from .. import keys
from ..custody import SOURCES, Custody
from ..groupkey import GROUP_SOURCES, GroupKey, open_group_key, put_into_token

Decorate = Callable[[Callable[..., Any]], Callable[..., Any]]

# A copy, for what is read from it is deleted there. stdin is None if the caller closed it.
_custody = Custody(dict(os.environ), sys.stdin, lambda name: os.environ.pop(name, None))


def custody() -> Custody:
    """Where this process reads its secrets, for what reads them only when it needs them."""
    return _custody


def secret(source: str, what: str) -> str:
    """Read a secret from where the user said it is kept."""
    return _custody.read(source, what)


def key(source: str, what: str) -> str:
    """Read a base64 key that DPS would take, from where the user said it is kept."""
    return keys.checked(secret(source, what), what)


def group_key(source: str, what: str) -> GroupKey:
    """Open a group's key, in memory or in the token that keeps it."""
    return open_group_key(source, what, _custody)


def group_key_into_token(source: str, token: str) -> GroupKey:
    """Move a group's key from where it is kept into a token."""
    return put_into_token(secret(source, "the group key"), token, _custody)


def source_option(flag: str, what: str, required: bool = False) -> Decorate:
    """An option for a secret: its value says where the secret is kept."""
    return _named(flag, what, required, SOURCES)


def group_key_option(flag: str, what: str, required: bool = False) -> Decorate:
    """An option for a group's key, which may also stay in a token."""
    return _named(flag, what, required, GROUP_SOURCES)


def _named(flag: str, what: str, required: bool, sources: str) -> Decorate:
    told = f"{what[0].upper()}{what[1:]}. Named by where it is kept: {sources}."
    return click.option(flag, metavar="SOURCE", required=required, help=told)
