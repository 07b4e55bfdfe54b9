"""`firstlight enroll batch`: individual enrollments for a whole batch of devices.

Takes the words apart, and shows how far it is; the work is batch.py's.
"""

import io
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from .. import azure, keys
from ..batch import KeysFile, Outcome, check
from ..batch import enroll as enroll_batch
from ..errors import UsageError
from ..groupkey import GroupKey
from . import options
from .options import group_key_option
from .service import service, service_options

_SHOWN = 20  # of those that were there
_MOST = 1_000_000  # DPS's quota (protocol.md 2.8)
_MOST_BYTES = 1 << 28  # that many of the longest ids


@click.command()
@click.argument("ids", required=False, type=click.Path(exists=True, dir_okay=False))
@click.option("--from-record", metavar="RECORD", help="The units that a line proved, instead.")
@group_key_option(
    "--group-key", "a group's key, to derive theirs from; without, the service makes them"
)
@click.option(
    "--keys-out",
    type=click.Path(path_type=Path),
    help="Write the keys that the service made here (CSV), readable by you alone.",
)
@click.option("--disabled", is_flag=True, help="Enroll, but let nobody in yet.")
@click.option("--hub", "hubs", multiple=True, help="Assign to this hub; may be repeated.")
@click.option("--dry-run", is_flag=True, help="Change nothing: say what would be done.")
@service_options
def batch(
    ids: str | None,
    from_record: str | None,
    connection: str,
    root: Path | None,
    **wishes: Any,
) -> None:
    """Enroll every device of the file IDS, one registration id to a line, each for itself.

    What is enrolled already is left as it is. After an interruption, whatever it was, the same
    command goes on with what is missing.

    \b
    Examples:
      firstlight enroll batch ids.txt --connection file:dps.txt --keys-out keys.csv
      firstlight enroll batch --from-record line.sqlite --connection file:dps.txt \\
          --group-key keyring:firstlight/line-1
    """
    names = _names(ids, from_record)
    if wishes["keys_out"] and wishes["group_key"]:
        raise UsageError("--keys-out is for keys that the service makes, not for derived ones")
    at = service(connection, root)
    if wishes["dry_run"]:
        _plan(at, names)
        return
    group = (
        options.group_key(wishes["group_key"], "the group key") if wishes["group_key"] else None
    )
    _run(at, names, _documents(names, group, wishes), wishes["keys_out"])


def _run(
    at: azure.Service, names: Sequence[str], documents: Iterator[Any], keys_out: Path | None
) -> None:
    kept = KeysFile(keys_out) if keys_out else None
    told = Outcome()
    try:
        with click.progressbar(length=len(names), label="enrolling", file=sys.stderr) as bar:

            def progress(outcome: Outcome, enrolled: Sequence[str]) -> None:
                nonlocal told
                told = outcome
                if kept is not None:
                    outcome.without(kept.add(at, enrolled, _say))
                bar.update(outcome.count - bar.pos)

            enroll_batch(at, documents, progress, _say)
    finally:
        with suppress(BrokenPipeError):
            _tell(told, len(names))
    if keys_out:
        click.echo(f"their keys are in {keys_out}, for you alone to read")
    check(told)


def _tell(outcome: Outcome, wanted: int) -> None:
    for name in outcome.already[:_SHOWN]:
        click.echo(f"{name}: enrolled already, left as it is")
    for name, words in outcome.refused.items():
        click.echo(f"{name}: refused: {words}", err=True)
    click.echo(f"enrolled {len(outcome.enrolled)}, already there {len(outcome.already)}"
               f", refused {len(outcome.refused)}")  # fmt: skip
    if outcome.count < wanted:
        click.echo(
            f"{wanted - outcome.count} are still to do: repeat the same command, and it goes on",
            err=True,
        )


def _plan(at: azure.Service, names: Sequence[str]) -> None:
    there = {str(found.get("registrationId", "")).lower() for found in at.each("enrollments")}
    for name in names:
        click.echo(f"{name}: {'enrolled already' if name in there else 'would be enrolled'}")
    missing = sum(name not in there for name in names)
    click.echo(
        f"would enroll {missing}, already there {len(names) - missing}; nothing was changed"
    )


def _documents(
    names: Sequence[str], group: GroupKey | None, wishes: dict[str, Any]
) -> Iterator[Any]:
    rest: dict[str, Any] = {"provisioningStatus": "disabled" if wishes["disabled"] else "enabled"}
    if wishes["hubs"]:
        rest["iotHubs"] = list(wishes["hubs"])
    derive: Callable[[str], str] = group.derive if group else lambda _: ""
    for name in names:
        yield azure.individual(name, derive(name), rest)


def _say(text: str) -> None:
    click.echo(text, err=True)


def _names(path: str | None, record: str | None) -> list[str]:
    if (path is None) == (record is None):
        raise UsageError("name a file of registration ids, or --from-record")
    found = _from_file(path) if path is not None else _from_record(record or "")
    if not 1 <= len(found) <= _MOST:
        raise UsageError(
            f"there must be 1 to {_MOST} registration ids, and there are {len(found)}"
        )
    return found


def _from_file(path: str) -> list[str]:
    try:
        with open(path, "rb") as file:
            raw = file.read(_MOST_BYTES + 1)
        if len(raw) > _MOST_BYTES:
            raise UsageError(f"{path} is too long to be a file of registration ids")
        return list(keys.registration_ids(io.StringIO(raw.decode("utf-8-sig"), None)))
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not text (UTF-8)") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}") from None


def _from_record(url: str) -> list[str]:
    """Every unit that proved its key on the line, in the order in which they came.

    Raise UsageError if one of them has a certificate: an enrollment by key would hide its group.
    """
    from ..record.record import Record  # noqa: PLC0415  a database's libraries, for few

    found: dict[str, bool] = {}  # whether an id's last injection was by certificate
    proven: dict[str, None] = {}
    with Record.read(url) as record:
        for one in record.entries():
            if one.facts.keys() & {"device_key", "certificate"}:
                found[one.registration_id] = "certificate" in one.facts
            if one.registration_id and (one.stage, one.outcome) == ("prove", "done"):
                proven[one.registration_id] = None
    certified = [name for name in proven if found.get(name)]
    if certified:
        raise UsageError(
            f"{len(certified)} of the record's units have certificates, {certified[0]} first: the "
            "group of their CA lets them in (firstlight enroll group --ca-certificate), and a key "
            "of its own would shut each out"
        )
    return [keys.registration_id(name) for name in proven]
