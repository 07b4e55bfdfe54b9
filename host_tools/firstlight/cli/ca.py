"""`firstlight ca`: the factory's certificate authority, in a folder or in a PKCS#11 token.

Takes the words apart and prints; what a CA is, the package ca knows. Never prints a key.
"""

import json
from pathlib import Path
from typing import Any

import click
from cryptography.hazmat.primitives.serialization import Encoding

from ..ca import founding, revoking, telling
from ..ca.authority import LEAF_DAYS, utc_now
from ..ca.folder import Folder
from ..ca.founding import Wishes
from ..ca.ledger import MOST_DAYS, REASONS, ROOT, Ledger, serial_number
from ..ca.making import KINDS
from ..errors import UsageError
from .cafiles import certificate_from
from .caissue import issue, prove
from .caoptions import new_passphrases, passphrases
from .options import source_option

_YEAR = 365.25
_REASONS = [each.replace("_", "-") for each in REASONS]
_PIN = "For a key in a token: its PIN, unless the URI says where it is"


@click.group()
def ca() -> None:
    """The factory's certificate authority: a root, an intermediate per batch, a leaf per unit.

    \b
    Once:            firstlight ca init line-ca --name "Contoso line CA" --passphrase file:ca.pass
                     az iot dps certificate create ... --path line-ca/root.pem
                     firstlight ca prove line-ca --code CODE --out proof.pem ...
    On the line:     firstlight line ... --ca line-ca --ca-passphrase file:ca.pass
    For each batch:  firstlight ca rotate line-ca --passphrase file:ca.pass
    If a key leaks:  firstlight ca revoke line-ca --batch batch-1 --passphrase file:ca.pass

    A station needs the folder without root.key: keep that where nobody builds boards. A copy is
    used by the user whom it belongs to: who may write into it could change whom to trust. One
    unit's key is made as its certificate is, goes onto the board, and is kept nowhere else.
    """


for _verb in (issue, prove):
    ca.add_command(_verb)


def _folder_argument(verb: Any) -> Any:
    kind = click.Path(file_okay=False, path_type=Path)
    return click.argument("folder", metavar="DIR", type=kind)(verb)


def _key_options(verb: Any) -> Any:
    for option in (
        click.option(
            "--adopt", is_flag=True, help="Take key pairs that are in the tokens already."
        ),
        click.option(
            "--token",
            metavar="URI",
            help="Make the batch's key in a PKCS#11 token: pkcs11:token=LABEL;object=KEY?...",
        ),
        source_option("--root-passphrase", "the passphrase of the root's key, if it has its own"),
        source_option("--passphrase", f"the passphrase of the batch's key. {_PIN}"),
    ):
        verb = option(verb)
    return verb


@ca.command()
@_folder_argument
@click.option("--name", required=True, help="The root's common name; the batches' begins with it.")
@click.option("--batch", default="batch-1", show_default=True, help="What the first is called.")
@click.option("--kind", type=click.Choice(KINDS), default="ec", show_default=True,
              help="EC P-256; or RSA, 3072 bits for the CAs and 2048 for units.")  # fmt: skip
@click.option("--years", type=click.IntRange(1, 100), default=20, show_default=True,
              help="How long the root is good for.")  # fmt: skip
@click.option("--batch-days", type=click.IntRange(1, MOST_DAYS), default=Wishes.batch_days,
              show_default=True, help="How long each batch is, from when it is made.")  # fmt: skip
@click.option("--leaf-days", type=click.IntRange(1, MOST_DAYS), default=LEAF_DAYS,
              show_default=True, help="How long a unit's is; never beyond its batch.")  # fmt: skip
@_key_options
@click.option("--root-token", metavar="URI", help="Make the root's key in a PKCS#11 token.")
def init(folder: Path, name: str, batch: str, **wishes: Any) -> None:
    """Make a root and a first batch's intermediate in the new folder DIR.

    Keys in files are PKCS#8, encrypted (scrypt, AES-256) under a passphrase that is kept
    elsewhere; openssl opens them, too. A key in a token is made there and does not come out.
    Everything else in the folder is public.

    \b
    Examples:
      openssl rand -base64 24 | (umask 077; cat > ca.pass)
      firstlight ca init line-ca --name "Contoso line CA" --passphrase file:ca.pass
      firstlight ca init line-ca --name "Contoso line CA" --root-passphrase keyring:ca/root \\
          --token "pkcs11:token=line;object=batch-1?pin-source=file:pin.txt"
    """
    secrets = new_passphrases(wishes.pop("passphrase"), wishes.pop("root_passphrase"))
    days = round(wishes.pop("years") * _YEAR)
    wanted = Wishes(root_days=days, **wishes)
    _made(folder, founding.found(Folder(folder), name, batch, wanted, secrets, utc_now()))


@ca.command()
@_folder_argument
@click.option("--batch", help="What the new one is called; without, the next number.")
@click.option("--retire-key", is_flag=True, help="Destroy the key of the batch before: it "
              "issues nothing more, and of its leaves none can be revoked by itself.")  # fmt: skip
@_key_options
def rotate(
    folder: Path,
    batch: str | None,
    retire_key: bool,
    passphrase: str | None,
    root_passphrase: str | None,
    token: str | None,
    adopt: bool,
) -> None:
    """Make a new batch's intermediate, which is the current one from then on.

    Units of the batches before keep working: nothing of theirs changes. Enroll the new one
    before its units call: a group by the root takes every batch; a group by an intermediate
    wants the new certificate. Copy the folder to the stations again, without root.key. A root is
    not rotated: make another CA in another folder, upload its root beside the old one, and let
    lines use it; boards of both come in.

    \b
    Example:
      firstlight ca rotate line-ca --batch autumn --passphrase file:ca.pass
    """
    wishes = Wishes(token=token, adopt=adopt)
    secrets = new_passphrases(passphrase, root_passphrase)
    _made(
        folder,
        founding.rotate(Folder(folder), batch, wishes, secrets, utc_now(), retire=retire_key),
    )


def _made(folder: Path, ledger: Ledger) -> None:
    click.echo(f"{folder}: {ledger.name}; the current batch is {ledger.current}")
    for line in telling.lines(telling.described(Folder(folder), utc_now()))[1:]:
        click.echo(line)
    click.echo(f"\nupload {folder / 'root.pem'}, or {folder / ledger.current}.pem, to DPS")


@ca.command()
@_folder_argument
@click.option("--json", "as_json", is_flag=True, help="For a program.")
@click.option("--pem", metavar="NAME", help="Print the certificate of `root`, or of a batch.")
def show(folder: Path, as_json: bool, pem: str | None) -> None:
    """Show certificates, where their keys are, and what is revoked. Needs no passphrase.

    \b
    Examples:
      firstlight ca show line-ca
      firstlight ca show line-ca --pem batch-1 > intermediate.pem
      firstlight ca show line-ca --json
    """
    home = Folder(folder)
    if pem is not None:
        found = telling.pem_of(home, pem)
        click.echo(found.public_bytes(Encoding.PEM).decode(), nl=False)
        return
    told = telling.described(home, utc_now())
    if as_json:
        click.echo(json.dumps(told, indent=2))
    else:
        click.echo("\n".join(telling.lines(told)))


@ca.command()
@_folder_argument
@click.option("--batch", metavar="NAME", help="Revoke this batch's intermediate.")
@click.option("--serial", metavar="HEX", help="Revoke the leaf of this serial number.")
@click.option("--certificate", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="Revoke this leaf or intermediate (PEM).")  # fmt: skip
@click.option("--renew", is_flag=True, help="Revoke nothing: sign a list anew.")
@click.option("--issuer", metavar="NAME", help="Which batch issued --serial (needed if there "
              "are several); or whose list to --renew, `root` for the root's.")  # fmt: skip
@click.option("--reason", default="unspecified", metavar="REASON", show_default=True,
              type=click.Choice(_REASONS), help=f"One of {', '.join(_REASONS)}.")  # fmt: skip
@source_option("--passphrase", f"the passphrase of the batch's key. {_PIN}")
@source_option("--root-passphrase", "the passphrase of the root's key, if it has its own")
def revoke(
    folder: Path,
    issuer: str | None,
    reason: str,
    passphrase: str | None,
    root_passphrase: str | None,
    **wanted: Any,
) -> None:
    """Revoke a batch (by the root's key) or a leaf (by its batch's), and sign a list (CRL).

    The lists are DIR/root.crl and DIR/BATCH.crl (DER), and .crl.pem. They are for who checks
    them. Azure does not: neither DPS nor a hub reads a revocation list (azure-iot-sdk-c issue
    440), so the device stays in until it is shut out there, too, as is printed at the end
    (azure/iot-dps/how-to-revoke-device-access-portal).

    A revoked batch issues nothing any more; a copy of the folder learns that when it is copied
    again. A list is good for a year: --renew.

    \b
    Examples:
      firstlight ca revoke line-ca --serial 0a1b2c --issuer batch-1 --reason key-compromise \\
          --passphrase file:ca.pass
      firstlight ca revoke line-ca --batch batch-1 --root-passphrase keyring:ca/root
      openssl verify -crl_check -CRLfile line-ca/batch-1.crl.pem -CAfile line-ca/root.pem \\
          -untrusted line-ca/batch-1.pem leaf.pem
    """
    if sum(bool(each) for each in wanted.values()) != 1:
        raise UsageError("name one of --batch, --serial, --certificate and --renew")
    home, secrets = Folder(folder), passphrases(passphrase, root_passphrase)
    if wanted["renew"]:
        done = revoking.renew(home, issuer, secrets, utc_now())
        click.echo(f"{done.pem}: signed anew; {done.der}: the same as DER")
        return
    target = _target(home, issuer, **wanted)
    done = revoking.revoke(home, target, reason.replace("-", "_"), secrets, utc_now())
    was = "was revoked already; its list is new" if done.was_known else "is revoked"
    click.echo(f"{target.name} {was}: {done.pem} and {done.der}")
    click.echo(_SHUT_OUT_BATCH if target.issuer == ROOT else _SHUT_OUT_LEAF, nl=False)


def _target(
    home: Folder,
    issuer: str | None,
    batch: str | None,
    serial: str | None,
    certificate: Path | None,
    **_: Any,
) -> revoking.Target:
    ledger = home.ledger()
    if batch is not None:
        return revoking.a_batch(home, ledger, batch)
    if serial is not None:
        return revoking.a_serial(home, ledger, serial_number(serial), issuer)
    return revoking.a_certificate(home, ledger, certificate_from(certificate or Path()))


_SHUT_OUT_LEAF = """\
Azure reads no revocation list: shut the device out there as well
  firstlight enroll revoke REGISTRATION_ID --connection file:dps.txt --hub-connection file:hub.txt
  (a disabled enrollment of its own keeps it from its group; a hub lets it in until it is disabled)
"""
_SHUT_OUT_BATCH = """\
copies of the folder still issue by it: delete its key there, and copy the folder to them again
Azure reads no revocation list: shut the batch out there as well
  firstlight enroll disable group GROUP --connection file:dps.txt --hub-connection file:hub.txt
  az iot dps certificate delete --dps-name DPS --resource-group GROUP --name NAME --etag ETAG
  (as long as a group by the root is enabled, its devices come in by that: disable those devices
  one by one, or enroll the batches that are good by their own certificates and delete the group)
"""
