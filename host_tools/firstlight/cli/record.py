"""`firstlight record`: what the line wrote about every unit, checked, shown and taken out.

Only reads the record. No password is taken from the command line.
"""

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from ..custody import SOURCES
from ..errors import ToolError, UsageError
from ..record import exports
from ..record.chain import Entry
from ..record.places import DEFAULT, from_argument
from ..record.reader import Reader, parse_head
from .options import secret

_UNIT = "{registration_id:32}  {chip_id:16}  {board:16}  {state:16}  {last_at:24}  {credential}"
_STEP = "{number:>6}  {at}  {station:12}  {stage:8} {outcome:8} {seat}"


def record_url(source: str) -> str:
    """Return the record's path or URL that a command line names. Raises UsageError."""
    return from_argument(source, secret)


def record_option(verb: Callable[..., Any]) -> Callable[..., Any]:
    """--record, for verbs that use the line's record; the verb gets it as `record_source`."""
    return click.option(
        "--record",
        "record_source",
        default=DEFAULT,
        show_default=True,
        metavar="PLACE",
        help="A file, or postgresql://USER@HOST/DATABASE without a password: that belongs into "
        f"~/.pgpass or PGPASSWORD, or name where the whole URL is kept: {SOURCES}.",
    )(verb)


@click.group()
def record() -> None:
    """Check, show and export the record of a line.

    \b
    The record has an entry for each step of each unit, each tied to all before it by a digest:
    no entry can be changed, taken out or put in without `verify` telling. It holds no key, only
    their fingerprints.
      firstlight record verify
      firstlight record show esp32-a1b2c3 --record postgresql://line@server/line
    """


@record.command()
@record_option
@click.option(
    "--head", metavar="NUMBER:DIGEST", help="An entry that was noted elsewhere: it must be there."
)
def verify(record_source: str, head: str | None) -> None:
    """Find the first entry that is not as a station wrote it; exit code 1 if there is one.

    A cut end, or a record written anew as a whole, shows only by a head that was noted before,
    on paper or in another system; the stations of this PC each keep a note of their own.

    \b
    Example:
      firstlight record verify --head 1024:5f70bf18a086007016e948b04a...
    """
    noted = parse_head(head) if head else None
    with Reader.read(record_url(record_source)) as found:
        verdict = found.verify_with_notes(noted)
    if not verdict.good:
        raise ToolError(
            f"the record in {found.shown} is wrong: {verdict.wrong}; "
            f"right from the start are {verdict.entries} entries: keep it, and find a good copy"
        )
    click.echo(f"{verdict.entries} entries, all as they were written")
    click.echo(f"head, to be noted elsewhere: {verdict.head[0]}:{verdict.head[1]}")


@record.command()
@record_option
def units(record_source: str) -> None:
    """List every unit: its id, its chip, its board, how far it came, when, and what it proves.

    That is the fingerprint of its key, or the serial number of its certificate.

    \b
    Example:
      firstlight record units --record line.db
    """
    with Reader.read(record_url(record_source)) as found:
        names = ("registration_id", "chip_id", "board", "state", "last_at", "credential")
        click.echo(_UNIT.format(**{name: name for name in names}))
        for unit in map(exports.unit, found.units()):
            told = {name: _plain(getattr(unit, name)) for name in names}
            click.echo(_UNIT.format(**told).rstrip())


@record.command()
@click.argument("unit")
@record_option
def show(unit: str, record_source: str) -> None:
    """Show all that happened to UNIT, a registration id or a chip's id.

    \b
    Example:
      firstlight record show esp32-a1b2c3d4e5f6
    """
    with Reader.read(record_url(record_source)) as found:
        history = _history(found, unit)
    if not history:
        raise UsageError(f"the record in {found.shown} has nothing of a unit {unit[:140]!r}")
    names = [entry.registration_id for entry in history if entry.registration_id]
    click.echo(f"{_plain((names or ['-'])[-1])}  chip {_plain(history[-1].chip_id)}")
    for entry in history:
        told = {name: _plain(str(value)) for name, value in vars(entry).items()}
        click.echo(_STEP.format(**told).rstrip())
        for name, value in entry.facts.items():
            click.echo(f"{'':8}{_plain(name)}: {_plain(value)}")


@record.command()
@record_option
@click.option("--form", type=click.Choice(("csv", "units", "dps")), required=True)
@click.option(
    "--mode",
    type=click.Choice(exports.MODES),
    default="create",
    show_default=True,
    help="For dps: what the service is to do with these units.",
)
@click.option("--disabled", is_flag=True, help="For dps: enroll them as shut out.")
@click.option("--all", "every", is_flag=True, help="For dps: also the units that are not done.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="A new file, instead of to the screen."
)
def export(
    record_source: str, form: str, mode: str, disabled: bool, every: bool, out: Path | None
) -> None:
    """Take the record out: csv (each entry), units (CSV, a line each), or dps.

    dps gives bodies for the DPS service API's POST /enrollments, one on a line, ten units in
    each. They hold no key: the service makes its own for an individual enrollment. So a unit
    whose key came from a group's needs none of these, but for being shut out: --disabled. Units
    with certificates are left out, and that is told, exit code 1: an enrollment of their own needs
    the certificate, which the record does not have; their group's, by the batch's CA, needs none.

    \b
    Examples:
      firstlight record export --form units --out units.csv
      firstlight record export --form dps --disabled --out shut-out.jsonl
      firstlight record export --form csv --record postgresql://line@server/line > entries.csv
    """
    certified: list[str] = []
    with Reader.read(record_url(record_source)) as found:
        if form == "csv":
            lines = exports.entries_csv(found.entries())
        else:
            listed = (exports.unit(history) for history in found.units())
            lines = (
                exports.units_csv(listed)
                if form == "units"
                else exports.dps_bulk(
                    _with_keys((unit for unit in listed if every or unit.done_at), certified),
                    mode,
                    disabled,
                )
            )
        _write(lines, out)
    if certified:
        raise ToolError(
            f"{len(certified)} units have certificates and are left out, {certified[0]} the "
            "first: an enrollment of their own needs the certificate itself, which the record "
            "does not have; enroll their group by the batch's CA, and one alone by its leaf"
        )


def _with_keys(units: Iterable[exports.Unit], certified: list[str]) -> Iterator[exports.Unit]:
    """Yield those that have a key; note the names of those that have a certificate."""
    for unit in units:
        if unit.certificate_sha256:
            certified.append(unit.registration_id)
        else:
            yield unit


def _history(found: Reader, unit: str) -> list[Entry]:
    """All of a unit's entries; those from before it had a registration id have its chip's."""
    history: list[Entry] = []
    with suppress(UsageError):
        history = found.history_of(unit)
    chip = history[-1].chip_id if history else unit
    with suppress(UsageError):
        history = found.history(chip) or history
    return history


def _write(lines: Iterable[str], out: Path | None) -> None:
    if out is None:
        for line in lines:
            click.echo(line.encode(), nl=False)  # as in a file, whatever the screen can show
        return
    try:
        descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    except FileExistsError:
        raise UsageError(f"{out} is there already; move it away, or name another file") from None
    except OSError as error:
        raise UsageError(f"{out} cannot be written: {error.strerror}") from None
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            file.writelines(lines)
    except BaseException as error:
        out.unlink()
        if isinstance(error, OSError):
            raise ToolError(f"{out} cannot be written: {error.strerror}") from None
        raise


def _plain(text: str) -> str:
    """Text for a terminal: what a forged entry holds must not move its cursor."""
    return "".join(sign if sign.isprintable() else "?" for sign in text)
