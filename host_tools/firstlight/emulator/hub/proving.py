"""Whether a chain of certificates proves a device at its hub: by thumbprint, or by authority.

Pure: DER and the registry's device in, an expiry or NotProven out; no clock. As at Azure:

    selfSigned             the leaf's SHA-1 or SHA-256 is the primary or the secondary thumbprint;
                           who signed it is not asked, and of the rest only whether it has expired
                           (Azure/iotedge#621; MicrosoftDocs/azure-docs#1061)
    certificateAuthority   the chain leads to a verified CA of the hub, and the leaf's common name
                           is the device id, in the same case (iot-hub-x509ca-overview)

What DPS has issued is taken beside either, and beside a key: at Azure an issuing policy is synced
to the hub as one more of its CAs. So a device that rolls back to what it was made with gets in.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cryptography import x509

from .. import chains
from ..chains import BadChain, Chain
from .credential import CERTIFICATE_AUTHORITY, NONE, SELF_SIGNED
from .registry import Device

Anchors = Callable[[], Sequence[x509.Certificate]]


def _nobody() -> tuple[x509.Certificate, ...]:
    return ()


@dataclass(frozen=True)
class Trust:
    """Whom a hub believes. authorities: its verified CAs; issuers: those that DPS issues by."""

    authorities: Anchors = _nobody
    issuers: Anchors = _nobody


class NotProven(Exception):
    """The certificate is not the device's. has_expired: it was, or it is not valid yet."""

    def __init__(self, why: str, has_expired: bool = False) -> None:
        super().__init__(why)
        self.has_expired = has_expired


def prove(
    device: Device,
    ders: Sequence[bytes],
    trust: Trust,
    now_at: float,
    looks_at_thumbprint_times: bool = True,
) -> float:
    """When the certificate that proves the device expires, Unix seconds; raise NotProven.

    ders: what TLS carried, the leaf first.
    """
    try:
        chain = chains.read(ders)
    except BadChain as bad:
        raise NotProven(str(bad)) from None
    if not _is_issued(device, chain, trust, now_at):
        _judge(device, chain, trust, now_at, looks_at_thumbprint_times)
    return chain.leaf.not_valid_after_utc.timestamp()


def _is_issued(device: Device, chain: Chain, trust: Trust, now_at: float) -> bool:
    """Whether DPS issued it for the device; raise NotProven for one that was good once."""
    issuers = trust.issuers() if device.auth != NONE and chain.common_name == device.id else ()
    try:
        chains.anchored(chain, issuers, chain.leaf.not_valid_before_utc.timestamp())
    except BadChain:
        return False
    try:
        chains.anchored(chain, issuers, now_at)
    except BadChain as bad:
        raise NotProven(str(bad), has_expired=True) from None
    return True


def _judge(
    device: Device, chain: Chain, trust: Trust, now_at: float, looks_at_times: bool
) -> None:
    """By what the registry says of the device."""
    if device.auth == SELF_SIGNED:
        if not _is_known(device, chain):
            raise NotProven(f"the thumbprint {chain.sha256} is not the device's")
        if looks_at_times:
            _check_times(chain, now_at)
    elif device.auth == CERTIFICATE_AUTHORITY:
        _judge_chain(device, chain, trust, now_at)
    else:
        raise NotProven(f"the device authenticates by {device.auth}, not by a certificate")


def _judge_chain(device: Device, chain: Chain, trust: Trust, now_at: float) -> None:
    if chain.common_name != device.id:
        raise NotProven("the certificate's common name is not the device id")
    _check_times(chain, now_at)
    try:
        chains.anchored(chain, trust.authorities(), now_at)
    except BadChain as bad:
        raise NotProven(str(bad)) from None


def _is_known(device: Device, chain: Chain) -> bool:
    known = {thumbprint.upper() for thumbprint in device.thumbprints if thumbprint}
    return not known.isdisjoint((chain.sha1, chain.sha256))


def _check_times(chain: Chain, now_at: float) -> None:
    try:
        chains.check_times(chain, now_at)
    except BadChain as bad:
        raise NotProven(str(bad), has_expired=True) from None
