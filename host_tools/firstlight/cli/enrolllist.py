"""`firstlight enroll list`: what is enrolled, and who has registered, a line each.

Never prints a key.
"""

import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from ..attesting import facts
from ..azurecalls import Json
from ..errors import UsageError
from .enrollaccess import KINDS
from .service import service, service_options

_CERTIFICATE = ("certificate", "sha256Thumbprint", "notAfterUtc")  # the first, or its CA's name
_ENROLLMENTS = (
    "id", "provisioningStatus", "attestation", "deviceId", "createdDateTimeUtc",
    "lastUpdatedDateTimeUtc", "etag", *_CERTIFICATE,
)  # fmt: skip
_RECORDS = (
    "id", "status", "substatus", "assignedHub", "deviceId", "errorCode", "errorMessage",
    "createdDateTimeUtc", "lastUpdatedDateTimeUtc",
)  # fmt: skip


@click.command("list")
@click.argument("kind", type=click.Choice([*sorted(KINDS), "units"]))
@click.argument("group", required=False)
@click.option(
    "--format", "form", type=click.Choice(["csv", "json"]), default="csv", show_default=True,
    help="json: a whole document to a line.",
)  # fmt: skip
@service_options
def listed(kind: str, group: str | None, form: str, connection: str, root: Path | None) -> None:
    """List every enrollment of a KIND, or the units that registered in a GROUP; without keys.

    \b
    Examples:
      firstlight enroll list device --connection file:dps.txt > enrolled.csv
      firstlight enroll list units line-1 --connection file:dps.txt --format json
    """
    if (kind == "units") != (group is not None):
        raise UsageError("name the group whose units are to be listed: enroll list units GROUP")
    at = service(connection, root)
    found = at.members(group) if group is not None else at.each(KINDS[kind])
    if form == "json":
        for document in found:
            click.echo(json.dumps(document, sort_keys=True))
        return
    columns = _ENROLLMENTS if group is None else _RECORDS
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(_rows(found, columns))


def _rows(found: Iterator[Json], columns: tuple[str, ...]) -> Iterator[list[str]]:
    for document in found:
        yield [_cell(document, column) for column in columns]


def _cell(document: Json, column: str) -> str:
    value: Any = document.get(column, "")
    if column == "id":
        value = document.get("registrationId") or document.get("enrollmentGroupId") or ""
    if column == "attestation":
        value = value.get("type", "") if isinstance(value, dict) else ""
    if column in _CERTIFICATE:
        value = facts(document.get("attestation"))[_CERTIFICATE.index(column)]
    return "".join(c if c.isprintable() else "?" for c in str(value))
