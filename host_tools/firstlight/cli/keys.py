"""`firstlight keys`: device keys from a group's key, SAS tokens, and a group's key into a token.

What it prints to standard output is secret, and is what was asked for; nothing else is.
"""

import csv
import io
import sys
import time
from pathlib import Path

import click

from .. import keys as arithmetic
from ..custody import write_private
from ..errors import UsageError
from ..groupkey import GroupKey, reads_standard_input
from .options import group_key as opened
from .options import group_key_into_token, group_key_option, source_option
from .options import key as key_from

_LONGEST_IDS = 1 << 26  # bytes; half a million of the longest


@click.group()
def keys() -> None:
    """Derive device keys, make SAS tokens, put a group's key into a token.

    \b
    Example:
      firstlight keys derive esp32-a1b2c3 --group-key file:group.key
    """


@keys.command()
@click.argument("registration_id", required=False)
@click.option(
    "--ids",
    type=click.Path(exists=True, dir_okay=False, allow_dash=True),
    help="A file of registration ids, one to a line.",
)
@group_key_option("--group-key", "the enrollment group's primary key", required=True)
@group_key_option("--secondary-group-key", "its secondary key, for a second key to each device")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Write here, readable by you alone, instead of to the screen.",
)
def derive(
    registration_id: str | None,
    ids: str | None,
    group_key: str,
    secondary_group_key: str | None,
    out: Path | None,
) -> None:
    """Derive the keys of one device, or of a file of them.

    One id gives the primary key alone on a line, then the secondary if its group key is given.
    A file gives CSV: registration_id,primary_key[,secondary_key].

    \b
    Examples:
      firstlight keys derive esp32-a1b2c3 --group-key file:group.key
      firstlight keys derive --ids ids.txt --group-key keyring:firstlight/line-1 --out keys.csv
      az iot dps ... --query primaryKey -o tsv | firstlight keys derive esp32-a1b2c3 --group-key -
      firstlight keys derive esp32-a1b2c3 --group-key \\
          "pkcs11:token=line;object=group-1?pin-source=env:PIN&module-path=/usr/lib/p11.so"
    """
    if (registration_id is None) == (ids is None):
        raise UsageError("name one registration id, or a file of them with --ids")
    sources = [source for source in (group_key, secondary_group_key) if source is not None]
    if ids == "-" and any(map(reads_standard_input, sources)):
        raise UsageError("standard input cannot give both the ids and a key: keep one in a file")
    names = ("the group key", "the secondary group key")
    groups = [opened(source, what) for source, what in zip(sources, names, strict=False)]
    if registration_id is not None:
        text = "".join(f"{group.derive(registration_id)}\n" for group in groups)
    else:
        text = _table(_ids(ids or "-"), groups)
    if out is None:
        click.echo(text, nl=False)
    else:
        write_private(out, text)


def _ids(path: str) -> list[str]:
    """The registration ids in a file, or in standard input for `-`. Raise UsageError for none."""
    if path == "-" and sys.stdin is None:
        raise UsageError("the ids should come from standard input, but that is closed")
    try:
        with click.open_file(path, "rb") as file:
            raw = file.read(_LONGEST_IDS + 1)
        ids = list(arithmetic.registration_ids(raw[:_LONGEST_IDS].decode().splitlines()))
    except OSError as error:
        raise UsageError(f"the ids cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError("--ids names something else than a text of registration ids") from None
    if len(raw) > _LONGEST_IDS or not ids:
        raise UsageError("--ids must name a file with one to half a million registration ids")
    return ids


def _table(ids: list[str], groups: list[GroupKey]) -> str:
    sheet = io.StringIO()
    rows = csv.writer(sheet, lineterminator="\n")
    rows.writerow(["registration_id", "primary_key", "secondary_key"][: 1 + len(groups)])
    for device in ids:
        rows.writerow([device, *(group.derive(device) for group in groups)])
    return sheet.getvalue()


@keys.command()
@group_key_option("--group-key", "the enrollment group's key", required=True)
def fingerprint(group_key: str) -> None:
    """Print what tells a group's key from others, and gives nothing of it away.

    The record shows the same 16 digits. A key's is the same in a file and in a token.

    \b
    Example:
      firstlight keys fingerprint --group-key file:group.key
    """
    click.echo(opened(group_key, "the group key").fingerprint)


@keys.command("to-token")
@source_option("--group-key", "the enrollment group's key", required=True)
@click.option(
    "--token",
    metavar="URI",
    required=True,
    help="The token, and the key's name in it: pkcs11:token=LABEL;object=KEY?... (RFC 7512).",
)
def to_token(group_key: str, token: str) -> None:
    """Move an enrollment group's key into a PKCS#11 token, which never gives it out again.

    DPS must know the key (it makes them of 64 bytes), so it is not made in the token: it goes in
    once, as a generic secret key that is sensitive, not extractable, and may sign
    (CKM_SHA256_HMAC). After that the same URI is a --group-key, and the token computes each
    device's key. The PIN comes from where
    pin-source says, the library from module-path or the variable FIRSTLIGHT_PKCS11_MODULE.
    Afterwards delete the copy that it came from: DPS still shows the key to its owners.

    \b
    Example, with SoftHSM:
      export FIRSTLIGHT_PKCS11_MODULE=/usr/lib/softhsm/libsofthsm2.so
      softhsm2-util --init-token --free --label line
      firstlight keys to-token --group-key file:group.key \\
          --token "pkcs11:token=line;object=group-1?pin-source=file:pin.txt"
      firstlight line ... --group-key "pkcs11:token=line;object=group-1?pin-source=file:pin.txt"

    \b
    The same by OpenSC's tool, from the key's bytes in a file:
      pkcs11-tool --module LIBRARY --login --write-object KEYFILE --type secrkey \\
          --label group-1 --usage-sign --sensitive --private
    """
    done = group_key_into_token(group_key, token)
    click.echo(f"the key {done.fingerprint} is in the token, and does not come out again")


@keys.command()
@click.argument("resource")
@source_option("--key", "the device's key (never the group's)", required=True)
@click.option("--policy", help="The policy, skn: `registration` for DPS, none for a hub's device.")
@click.option(
    "--lifetime",
    "lifetime_s",
    type=click.IntRange(1, 10 * 366 * 86400),
    default=3600,
    show_default=True,
    help="How long the token is good for, in seconds.",
)
@click.option("--expires-at", type=click.IntRange(1), help="Or until when, in Unix seconds.")
def sas(
    resource: str, key: str, policy: str | None, lifetime_s: int, expires_at: int | None
) -> None:
    """Print the SAS token for RESOURCE.

    \b
    Examples:
      firstlight keys sas 0ne00111111/registrations/esp32-a1b2c3 --policy registration \\
          --key file:device.key
      firstlight keys sas myhub.azure-devices.net/devices/esp32-a1b2c3 --key env:DEVICE_KEY
    """
    until = expires_at or int(time.time()) + lifetime_s
    click.echo(arithmetic.token(resource, key_from(key, "the key"), until, policy))
