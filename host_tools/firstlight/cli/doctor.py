"""`firstlight doctor`: what is wrong with a board that came back, in one sentence and a table.

Takes the words apart and prints; the examination is doctor/'s.
"""

import json
from pathlib import Path
from typing import Any

import click

from .. import attesting
from ..doctor.examine import Wishes, examine
from ..doctor.findings import Findings
from ..doctor.table import rows
from ..doctor.verdict import Verdict, judge
from . import options
from .options import group_key_option
from .service import certificate_option


@click.command()
@click.option("--port", required=True, help="Its serial port: /dev/ttyUSB0, COM3, socket://...")
@group_key_option("--group-key", "the key of the group that it should belong to")
@certificate_option("--ca-certificate", "The CA to which its certificates should lead")
@click.option(
    "--root",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="For asking DPS, trust this root (PEM) instead of the board's own.",
)
@click.option("--no-dps", is_flag=True, help="Do not ask DPS what it knows of the device.")
@click.option("--no-join", is_flag=True, help="Do not have the board join its network.")
@click.option("--no-reset", is_flag=True, help="Leave the board at its REPL afterwards.")
@click.option(
    "--listen",
    "listen_s",
    type=click.FloatRange(0, 600),
    default=3,
    show_default=True,
    metavar="SECONDS",
    help="Watch its console for so long, before it is interrupted.",
)
@click.option("--json", "as_json", is_flag=True, help="For programs: one JSON object.")
def doctor(port: str, as_json: bool, **wishes: Any) -> None:
    """Examine the board on a port: say what is wrong, and what to do.

    Nothing on it is changed, and no secret leaves it but as a fingerprint; it is reset to go on
    with its work. DPS is asked from this PC, with a token that the board signs for five minutes;
    by certificate the board asks itself, through this PC, which carries what TLS says and cannot
    read it, and lends it the time if its clock is off. Nothing is registered. Ends with 0 if
    everything is in order, with 1 if not.

    \b
    Examples:
      firstlight doctor --port /dev/ttyUSB0
      firstlight doctor --port /dev/ttyUSB0 --group-key keyring:firstlight/line-1 --json
    """
    found = examine(port, _wishes(wishes), lambda text: click.echo(text, err=True))
    verdict = judge(found)
    if as_json:
        facts = {"verdict": verdict.sentence, "fine": verdict.fine, **found.as_json()}
        click.echo(json.dumps(facts, sort_keys=True))
    else:
        _show(found, verdict)
    raise click.exceptions.Exit(0 if verdict.fine else 1)


def _wishes(said: dict[str, Any]) -> Wishes:
    source = said["group_key"]
    return Wishes(
        listen_s=said["listen_s"],
        group=options.group_key(source, "the group key") if source else None,
        ca=attesting.read(said["ca_certificate"]) if said["ca_certificate"] else None,
        join=not said["no_join"],
        ask_dps=not said["no_dps"],
        root=said["root"],
        reset=not said["no_reset"],
    )


def _show(found: Findings, verdict: Verdict) -> None:
    click.echo(f"{found.port}: {verdict.sentence}\n")
    table = list(rows(found))
    width = max(len(name) for name, _ in table)
    for name, text in table:
        click.echo(f"  {name:<{width}}  {text}")
