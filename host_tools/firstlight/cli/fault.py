"""`firstlight fault`: what a running local Azure is to do wrong. Takes words apart, and calls."""

import json
from pathlib import Path
from typing import Any

import click

from ..errors import ServiceError, UsageError

_folder = click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("local-azure"),
    show_default=True,
    help="The folder that the local Azure writes.",
)
_as_json = click.option("--json", "as_json", is_flag=True, help="JSON, for machines.")


@click.group()
def fault() -> None:
    """Let a running local Azure misbehave: where, how, for whom and how often.

    \b
    A fault is a point on the device's path, an action, and name=value words:
      firstlight fault add poll refuse status=429 retry_after=5 device=dev-1 times=2
      firstlight fault add register-answer cut bytes=7 end=reset
      firstlight fault add hello certificate kind=expired
    Every point, action and parameter:     firstlight fault list --points
    From the start of the service on:      firstlight emulate --fault "connack delay seconds=3"
    """


@fault.command()
@click.argument("words", nargs=-1, required=True, metavar="POINT ACTION [NAME=VALUE]...")
@_folder
@_as_json
def add(words: tuple[str, ...], folder: Path, as_json: bool) -> None:
    """Set a fault, and print its id.

    \b
    Examples:
      firstlight fault add telemetry close every=10
      firstlight fault add connect limit seconds=30
      firstlight fault add packet-out split size=1 device=dev-1
      firstlight fault add poll-answer state hub=gone.example times=1
      firstlight fault add accept close probability=0.3 seed=7
    """
    from ..emulator.faults.specs import BadFault, parse_text, parse_words  # noqa: PLC0415
    from ..localcalls import LocalCalls  # noqa: PLC0415

    try:
        wanted = parse_text(words[0]) if len(words) == 1 else parse_words(words)
    except BadFault as bad:
        raise UsageError(str(bad)) from None
    document = LocalCalls(folder).call("POST", "/emulator/faults", wanted.document())
    click.echo(json.dumps(document) if as_json else str(document["id"]))


@fault.command("list")
@click.option("--points", is_flag=True, help="Print what there is to set, and end.")
@_folder
@_as_json
def show(points: bool, folder: Path, as_json: bool) -> None:
    """List the faults that are set: how often each matched, struck, and may still strike.

    \b
    Examples:
      firstlight fault list
      firstlight fault list --points
    """
    from ..emulator.faults.help import described  # noqa: PLC0415
    from ..localcalls import LocalCalls  # noqa: PLC0415

    if points:
        click.echo("\n".join(described()))
        return
    found = LocalCalls(folder).call("GET", "/emulator/faults")
    if as_json:
        click.echo(json.dumps(found))
        return
    for document in found:
        click.echo(_line(document))


@fault.command()
@click.argument("ids", nargs=-1, metavar="[ID]...")
@_folder
def clear(ids: tuple[str, ...], folder: Path) -> None:
    """Clear the faults with these ids, or all of them; an id that is not there ends with 4.

    \b
    Example:
      firstlight fault clear f1 f3
    """
    from ..localcalls import LocalCalls  # noqa: PLC0415

    if any(not id.isalnum() for id in ids):
        raise UsageError("a fault's id is as firstlight fault list shows it: f1")
    calls = LocalCalls(folder)
    failures = []
    for path in [f"/emulator/faults/{id}" for id in ids] or ["/emulator/faults"]:
        try:
            calls.call("DELETE", path)
        except ServiceError as error:
            if error.status != 404:
                raise
            failures.append(error)  # the others are cleared all the same
    if failures:
        raise failures[0]


def _line(document: dict[str, Any]) -> str:
    from ..emulator.faults.specs import parse  # noqa: PLC0415

    counts = {name: document.pop(name) for name in ("id", "matches", "hits", "left")}
    left = "always" if counts["left"] is None else f"{counts['left']} left"
    return f"{counts['id']:<4} {counts['hits']:>4} of {counts['matches']:<5} {left:<8} " + str(
        parse(document)
    )
