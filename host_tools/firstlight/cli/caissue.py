"""`firstlight ca issue` and `firstlight ca prove`: one certificate by hand.

A key goes into a file for its owner alone, never onto the screen, and never over another file.
"""

from hashlib import sha256
from pathlib import Path

import click
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from ..ca import authority as authorities
from ..ca.authority import utc_now
from ..ca.certificate import DeviceCertificate, device_id, device_key, serial_hex
from ..ca.folder import Folder
from ..ca.proving import prove as proof
from ..custody import write_private
from ..errors import ToolError, UsageError
from . import options
from .cafiles import pem_of, request_from, write_public
from .caoptions import passphrases
from .options import source_option

_FILE = click.Path(dir_okay=False, path_type=Path)
_DIR = click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))


@click.command()
@_DIR
@click.argument("registration_id")
@click.option("--batch", metavar="NAME", help="By this batch; without, the current one.")
@source_option("--passphrase", "the passphrase of the batch's key, or its token's PIN")
@click.option("--out-dir", type=click.Path(exists=True, file_okay=False, path_type=Path),
              help="Write ID.chain.pem, ID.key and ID.csr.pem here.")  # fmt: skip
@click.option("--chain-out", type=_FILE, help="Write the leaf and its intermediate here (PEM).")
@click.option("--key-out", type=_FILE, help="Write the key here (PKCS#8), readable by you alone.")
@click.option("--csr-out", type=_FILE, help="Write a signing request by the same key here.")
@click.option("--csr", type=click.Path(exists=True, dir_okay=False, path_type=Path),
              help="Make no key: sign this request (PEM or DER), as to renew.")  # fmt: skip
def issue(
    folder: Path,
    registration_id: str,
    batch: str | None,
    passphrase: str | None,
    out_dir: Path | None,
    csr: Path | None,
    **outs: Path | None,
) -> None:
    """Issue one device's certificate by hand: a new key, or a request that somebody brings.

    The common name is REGISTRATION_ID, of 64 characters at most. The chain is what a TLS client
    sends: the leaf, then its intermediate. The key is nowhere but in the file that is written.
    A certificate begins a day before it is made, so that no clock that is a little behind
    refuses it, and never ends after its issuer.

    \b
    Examples:
      firstlight ca issue line-ca esp32-a1b2c3 --passphrase file:ca.pass --out-dir .
      mosquitto_pub --cert esp32-a1b2c3.chain.pem --key esp32-a1b2c3.key ...
      firstlight ca issue line-ca esp32-a1b2c3 --passphrase file:ca.pass \\
          --csr esp32-a1b2c3.csr.pem --chain-out renewed.pem
    """
    device = device_id(registration_id)
    places = _places(device, out_dir, csr is not None, outs)
    custody = options.custody()
    by = authorities.open_authority(folder, batch, passphrase, custody)
    if csr is not None:
        chain, texts = by.certify(request_from(csr), device), {}
    else:
        issued = by.issue(device)
        chain, texts = issued.chain, _texts(issued)
    texts["chain_out"] = "".join(map(pem_of, chain))
    _write(places, texts)
    for path in places.values():
        click.echo(f"wrote {path}")
    click.echo(_told(*chain[:2]))


def _places(
    device: str, out_dir: Path | None, has_request: bool, outs: dict[str, Path | None]
) -> dict[str, Path]:
    """Where everything goes. Raises UsageError, ToolError; nothing is made before."""
    names = {"chain_out": "chain.pem", "key_out": "key", "csr_out": "csr.pem"}
    places = {name: path for name, path in outs.items() if path is not None}
    if has_request and {"key_out", "csr_out"} & set(places):
        raise UsageError("with --csr there is no key to write: leave out --key-out and --csr-out")
    if out_dir is not None:
        wanted = ["chain_out"] if has_request else list(names)
        places = {name: out_dir / f"{device}.{names[name]}" for name in wanted} | places
    needed = {"chain_out"} if has_request else {"chain_out", "key_out"}
    if not needed <= set(places):
        raise UsageError("say where to write: --out-dir, or --chain-out and --key-out")
    if len({path.resolve() for path in places.values()}) < len(places):
        raise UsageError("each of the files needs a name of its own")
    for path in places.values():
        if path.exists():
            raise ToolError(f"{path} is there already; move it away, or name another file")
    return places


def _texts(issued: DeviceCertificate) -> dict[str, str]:
    key = device_key(issued.key)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return {
        "key_out": pem.decode(),
        "csr_out": pem_of(issued.csr or b"", "CERTIFICATE REQUEST"),
    }


def _write(places: dict[str, Path], texts: dict[str, str]) -> None:
    """Write all of the files or none. Raises ToolError."""
    written: list[Path] = []
    try:
        for name, path in places.items():
            (write_private if name == "key_out" else write_public)(path, texts[name])
            written.append(path)
    except BaseException:
        for path in written:
            path.unlink(missing_ok=True)
        raise


def _told(leaf_der: bytes, issuer_der: bytes) -> str:
    leaf, issuer = map(x509.load_der_x509_certificate, (leaf_der, issuer_der))
    until, serial = leaf.not_valid_after_utc, serial_hex(leaf.serial_number)
    why = ", when its batch ends" if until == issuer.not_valid_after_utc else ""
    return f"serial {serial}, SHA-256 {sha256(leaf_der).hexdigest()}, until {until.date()}{why}"


@click.command()
@_DIR
@click.option("--code", required=True, help="The verification code, as the service shows it.")
@click.option("--batch", metavar="NAME", help="Prove this batch's key; without, the root's.")
@click.option("--out", required=True, type=_FILE, help="Write the proof here (PEM).")
@source_option("--passphrase", "the passphrase of the key, or its token's PIN")
@source_option("--root-passphrase", "the passphrase of the root's key, if it has its own")
def prove(
    folder: Path,
    code: str,
    batch: str | None,
    out: Path,
    passphrase: str | None,
    root_passphrase: str | None,
) -> None:
    """Prove to Azure that a CA certificate's key is yours: a certificate whose name is CODE.

    azure/iot-dps/how-to-verify-certificates. (Whoever may write certificates at the service may
    skip this: az iot dps certificate create --verified true.) The whole way, for DPS:

    \b
      az iot dps certificate create --dps-name DPS --resource-group RG --name line-ca \\
          --path line-ca/root.pem
      az iot dps certificate generate-verification-code --dps-name DPS --resource-group RG \\
          --name line-ca --etag ETAG --query "[properties.verificationCode, etag]"
      firstlight ca prove line-ca --code CODE --out proof.pem --passphrase file:ca.pass
      az iot dps certificate verify --dps-name DPS --resource-group RG --name line-ca \\
          --path proof.pem --etag ETAG

    Each step gives the ETAG of the next. A hub that knows its devices by their CA is shown the
    same: az iot hub certificate create, generate-verification-code and verify, with --hub-name.
    """
    secrets = passphrases(passphrase, root_passphrase)
    pem = proof(Folder(folder), batch, code, secrets, utc_now())
    write_public(out, pem.decode())
    click.echo(f"{out}: the proof, good for a month; upload it to the service that gave the code")
    place = f"--name NAME --path {out} --etag ETAG"
    click.echo(f"  az iot dps certificate verify --dps-name DPS --resource-group RG {place}")
    click.echo(f"  az iot hub certificate verify --hub-name HUB {place}")
