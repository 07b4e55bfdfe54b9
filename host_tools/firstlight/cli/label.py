"""`firstlight label`: labels for units, from their ids or from the line's record.

Never sees a key: what a label says is an id, a chip, a product, a date and fields given here.
"""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click

from .. import boards
from .. import labels as printing
from ..errors import UsageError
from ..labels import template as templates
from ..labels.label import Label


@click.group()
def label() -> None:
    """Make labels: QR or Data Matrix, as PNG, PDF, or ZPL for label printers.

    \b
    Example:
      firstlight label make --from-record firstlight-line.db --form sheet.pdf --out labels
    """


@label.command()
def template() -> None:
    """Print the template that is used without --template, to start your own from.

    \b
    Example:
      firstlight label template > label.toml
    """
    click.echo(templates.DEFAULT, nl=False)


@label.command()
@click.argument("registration_ids", nargs=-1, metavar="[ID]...")
@click.option(
    "--form",
    "forms",
    type=click.Choice(printing.FORMS),
    multiple=True,
    required=True,
    help="What to make; may be repeated. roll.pdf: all labels, one a page; sheet.pdf: in rows.",
)
@click.option(
    "--out",
    required=True,
    metavar="DIR",
    help="Write here: ID.FORM, or one file for all. `-`: one form of zpl, roll.pdf or sheet.pdf "
    "to standard output.",
)
@click.option(
    "--template",
    "template_path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Your own template: `firstlight label template`.",
)
@click.option(
    "--from-record",
    "record",
    metavar="FILE|URL",
    help="Take the units that the line finished from its record; with IDs, those of them.",
)
@click.option("--product", default="", help="The product's name, for units given by ID.")
@click.option("--made", default="", metavar="DATE", help="Their date, as it is to be printed.")
@click.option(
    "--field",
    "fields",
    multiple=True,
    metavar="NAME=VALUE",
    help="A field of your template's own, the same on every label; may be repeated.",
)
def make(
    registration_ids: tuple[str, ...],
    forms: tuple[str, ...],
    out: str,
    template_path: Path | None,
    **wishes: Any,
) -> None:
    """Make the labels of units, by their registration ids or from the line's record.

    The same labels are always the same bytes; a file that is right already is left alone.

    \b
    Examples:
      firstlight label make esp32-a1b2c3d4e5f6 --product "Pump 7" --form pdf --form qr.png --out .
      firstlight label make --from-record line.db --form sheet.pdf --out labels
      firstlight label make esp32-a1b2c3d4e5f6 --form zpl --out - > /dev/usb/lp0
    """
    chosen = templates.load(template_path) if template_path else None
    found = _labels(registration_ids, wishes)
    if out == "-":
        _print(found, forms, chosen)
        return
    for path in printing.write(found, Path(out), list(dict.fromkeys(forms)), chosen):
        click.echo(path)


def _print(labels: list[Label], forms: tuple[str, ...], chosen: Any) -> None:
    if len(forms) != 1 or forms[0] not in ("zpl", "roll.pdf", "sheet.pdf"):
        raise UsageError("--out - takes one --form: zpl, roll.pdf or sheet.pdf")
    for _, data in list(printing.rendered(labels, forms, chosen)):
        sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _labels(ids: tuple[str, ...], wishes: dict[str, Any]) -> list[Label]:
    extra = dict(_field(text) for text in wishes["fields"])
    if not wishes["record"]:
        if not ids:
            raise UsageError("name the units by their registration ids, or a --from-record")
        return [Label(name, wishes["product"], "", wishes["made"], extra) for name in ids]
    finished = _finished(_entries(wishes["record"]), extra)
    missing = [name for name in ids if name not in finished]
    if missing:
        raise UsageError(f"the record has no finished unit {missing[0][:140]}")
    if not finished:
        raise UsageError("the record has no finished unit yet")
    return [finished[name] for name in ids or finished]


def _field(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise UsageError("--field must be NAME=VALUE")
    return name, value


def _entries(source: str) -> Iterator[Any]:
    """The entries of the record in a file or at a URL, which is only read."""
    from ..record.reader import Reader  # noqa: PLC0415  with its database, only for this
    from .record import record_url  # noqa: PLC0415

    with Reader.read(record_url(source)) as record:
        yield from record.entries()


def _finished(entries: Iterable[Any], extra: dict[str, str]) -> dict[str, Label]:
    """The labels of the units that went through the whole line, by registration id."""
    products: dict[str, str] = {}
    found = {}
    for entry in entries:
        if (entry.stage, entry.outcome) == ("unit", "done"):
            board = entry.facts.get("board", "")
            product = products.setdefault(board, _product(board))
            found[entry.registration_id] = Label(
                entry.registration_id, product, entry.chip_id, entry.at[:10], extra
            )
    return found


def _product(board: str) -> str:
    """What a kind of board is called; nothing for one that is known no longer."""
    try:
        return boards.load(board).product
    except UsageError:
        return ""
