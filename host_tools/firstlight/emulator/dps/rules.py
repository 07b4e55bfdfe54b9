"""How a provisioning service is told to behave, and what it is asked: values, no I/O.

Each field of Behaviour that protocol.md leaves UNCERTAIN says which behaviours it chooses between;
the default is the one that the most evidence speaks for.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...errors import UsageError

# Protocol.md 1.3: every version that a public client or specification names.
API_VERSIONS = frozenset((
    "2017-08-31-preview", "2017-11-15", "2018-04-01", "2018-09-01-preview", "2018-11-01",
    "2019-03-31", "2021-06-01", "2021-10-01", "2021-11-01-preview", "2025-07-01-preview",
    "2026-04-01", "2026-07-01-preview", "2026-11-01", "2026-11-02-preview", "2026-11-15-preview",
))  # fmt: skip
# Before native re-provisioning: azure/iot-dps/concepts-device-reprovision.
STICKY_VERSIONS = frozenset(("2017-08-31-preview", "2017-11-15", "2018-04-01"))
MAX_MESSAGE_BYTES = 96 * 1024  # azure/iot-dps/about-iot-dps, quotas
CHOICES = {
    "unknown_enrollment": ("auto", "404", "401"),
    "derive_from": ("lower", "sent", "either"),
    "never_substatus": ("keep", "again"),
    "chain_to": ("verified", "group"),
    "individual_chain": ("leaf", "verified"),
    "csr_without_policy": ("refuse", "ignore", "default"),
    "csr_old_version": ("ignore", "refuse"),
    "issued_auth": ("both", "issued"),
}
_TEN_YEARS_S = 3650 * 86_400
_LIMITS = ("registrations_per_minute", "polls_per_10_s", "operations_per_minute", "max_token_s")
_CODES = (
    "wrong_key_code", "wrong_key_code_https", "expired_code", "expired_code_https",
    "mismatch_code", "certificate_code",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Behaviour:
    """How a service behaves, whichever it is.

    polls_before_assigned: how many polls are answered 202; retry_after_s: what those say.
    *_per_minute, polls_per_10_s: DPS's quotas (protocol.md 2.8); None for no limit.
    wrong_key_code, expired_code: errorCode of a 401 over MQTT, and *_https over HTTPS (2.6).
    mismatch_code: of the 400 for a registrationId in the body that is not the connection's (2.2).
    unknown_enrollment: for a device that no enrollment is for: 404, 401, or auto: 404 if there is
    no group that it might be in, else 401, for DPS cannot tell it from a wrong key (2.6).
    derive_from: which spelling of its id a group's device derives its key from: lower case, as it
    was sent, or either (4).
    scope_case, sr_case: whether upper and lower case differ in an id scope, and in a token's sr.
    max_token_s: how far in the future a token may expire; None for no limit (1.4).
    unknown_version: whether an api-version that we have not heard of is served (1.3); over MQTT
    CONNACK refuses it before that (ConnectionRules.version_code).
    put_over: whether a PUT without If-Match may replace an enrollment: at Azure it is a 409
    (azure-iot-sdk-csharp#3076).
    never_substatus: where the policy is never to re-provision: keep, for the substatus of the
    first assignment (azure-iot-sdk-csharp's e2e tests), or again, for the one that says so.
    reset_on_same_hub: whether the policy to reset does so though the hub stays the same;
    azure/iot-dps/concepts-device-reprovision and concepts-custom-allocation disagree.
    keep_created: whether a registration that is made again keeps its createdDateTimeUtc.
    chain_to: where a group's device's certificates must lead: verified, to a CA that is verified
    here, by what the device sent, the group's own certificate on the way; or group, to the group's
    certificate, whoever signed that, sent or not (azure/iot-dps/concepts-x509-attestation, "DPS
    device chain requirements", and azure-iot-sdk-c#437 say verified).
    individual_chain: whether an individual enrollment's leaf must lead to a verified CA, unless
    it is self-signed: leaf, for the leaf alone counts (azure-iot-sdk-node#547), or verified
    (azure/iot-dps/iot-dps-https-x509-support, "Upload and verify a signing certificate").
    any_chain_order: whether certificates may come in another order than issuer after issued,
    which RFC 5246 7.4.2 asks for.
    certificate_code: errorCode of the 401 for a certificate, over MQTT and HTTPS; 401000 was seen
    too (azure-iot-sdk-node#869).
    certificate_info: whether registrationState.x509 tells the leaf's facts, as device.json allows;
    the article on X.509 over HTTPS shows {} for an individual enrollment.
    certificate_reuse: whether a certificate may be in several enrollments; at Azure in one alone
    (concepts-x509-attestation).
    any_signer: whether signingCertificates may hold what is no CA's certificate, which no device's
    chain can lead to.
    any_reference: whether caReferences may name a CA that is not there, or not verified.
    credential_policies: for how many seconds a certificate is valid that is issued (csr), by the
    name that an enrollment gives as credentialPolicyName; Azure's are 1 to 90 days.
    csr_without_policy: a csr where the enrollment names none: refuse, ignore, or issue by the
    policy that is called default. csr_old_version: a csr with an api-version before it.
    issued_auth: what a hub takes of a device that was issued a certificate: both that and what it
    was assigned with, or what was issued alone. issued_at_dps: whether DPS takes it in place of
    the one that the enrollment is for.
    latencies_ms: of the hubs, for lowest latency allocation, by host name; device_latencies_ms:
    those of one device, by registration id in lower case, before the others.
    """

    polls_before_assigned: int = 1
    retry_after_s: int = 3
    registrations_per_minute: int | None = 1000
    polls_per_10_s: int | None = 5
    operations_per_minute: int | None = 1000
    wrong_key_code: int = 401000
    expired_code: int = 401002
    wrong_key_code_https: int = 401002
    expired_code_https: int = 401002
    mismatch_code: int = 400000
    unknown_enrollment: str = "auto"
    derive_from: str = "lower"
    scope_case: bool = False
    sr_case: bool = False
    max_token_s: int | None = None
    unknown_version: bool = False
    put_over: bool = False
    never_substatus: str = "keep"
    reset_on_same_hub: bool = False
    keep_created: bool = False
    chain_to: str = "verified"
    individual_chain: str = "leaf"
    any_chain_order: bool = False
    certificate_code: int = 401002
    certificate_info: bool = False
    certificate_reuse: bool = False
    any_signer: bool = False
    any_reference: bool = False
    credential_policies: Mapping[str, float] = field(
        default_factory=lambda: {"default": 30 * 86_400.0}
    )
    csr_without_policy: str = "refuse"
    csr_old_version: str = "ignore"
    issued_auth: str = "both"
    issued_at_dps: bool = False
    latencies_ms: Mapping[str, float] = field(default_factory=dict)
    device_latencies_ms: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    def check(self) -> None:
        """Raise UsageError naming the first rule that cannot be."""
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise UsageError(f"{name} must be one of {', '.join(choices)}")
        for name in _LIMITS:
            limit = getattr(self, name)
            if limit is not None and not 1 <= limit <= 1_000_000_000:
                raise UsageError(f"{name} must be none, or from 1 on")
        for name in _CODES:
            if not 400_000 <= getattr(self, name) <= 599_999:
                raise UsageError(f"{name} must be an errorCode, as 401002")
        self._check_tables()

    def _check_tables(self) -> None:
        if not _is_policies(self.credential_policies):
            raise UsageError("credential_policies must be seconds by name, 1 to ten years")
        tables = (self.latencies_ms, *self.device_latencies_ms.values())
        if not all(_is_latencies(table) for table in tables):
            raise UsageError("latencies_ms must be milliseconds by hub, 0 or more")


@dataclass(frozen=True)
class Rules(Behaviour):
    """How this service behaves."""

    id_scope: str


def _is_policies(table: Any) -> bool:
    """Whether it is; settings may come as JSON."""
    return isinstance(table, Mapping) and all(
        isinstance(name, str)
        and name
        and isinstance(s, int | float)
        and not isinstance(s, bool)
        and 1 <= s <= _TEN_YEARS_S
        for name, s in table.items()
    )


def _is_latencies(table: Any) -> bool:
    """Whether it is; settings may come as JSON."""
    return isinstance(table, Mapping) and all(
        isinstance(latency, int | float) and latency >= 0 for latency in table.values()
    )


@dataclass(frozen=True)
class Request:
    """One request of a device, whatever it came over: mqtt or https. token: "" for none.

    chain: the certificates that TLS carried, DER, the leaf first; () for none.
    """

    id_scope: str
    registration_id: str
    token: str = field(repr=False)
    body: bytes = field(default=b"", repr=False)
    over: str = "mqtt"
    api_version: str = ""
    chain: tuple[bytes, ...] = field(default=(), repr=False)
