"""Shared access policies: named keys with rights, as DPS and IoT Hub have them.

Judges a call's Authorization header; no I/O. A key never leaves but through `connection_string`,
and never into a repr. Facts: azure/iot-hub/iot-hub-dev-guide-sas and
azure/iot-dps/how-to-control-access; protocol.md 1.4 and 7:

    Authorization: SharedAccessSignature sr=my-hub&sig=...&se=1795000000&skn=iothubowner
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from . import sas
from .answers import RandomBytes, Refusal
from .journal import Journal, Nowhere
from .keys import Keys, new_keys

REGISTRY_READ = "RegistryRead"
REGISTRY_WRITE = "RegistryWrite"
SERVICE_CONNECT = "ServiceConnect"
DEVICE_CONNECT = "DeviceConnect"
HUB_POLICIES: Mapping[str, frozenset[str]] = {
    "iothubowner": frozenset((REGISTRY_READ, REGISTRY_WRITE, SERVICE_CONNECT, DEVICE_CONNECT)),
    "service": frozenset((SERVICE_CONNECT,)),
    "device": frozenset((DEVICE_CONNECT,)),
    "registryRead": frozenset((REGISTRY_READ,)),
    "registryReadWrite": frozenset((REGISTRY_READ, REGISTRY_WRITE)),
}

SERVICE_CONFIG = "ServiceConfig"
ENROLLMENT_READ = "EnrollmentRead"
ENROLLMENT_WRITE = "EnrollmentWrite"
REGISTRATION_READ = "RegistrationStatusRead"
REGISTRATION_WRITE = "RegistrationStatusWrite"
# DPS itself has but the owner; the others are for a team that tests what a lesser policy may do.
DPS_POLICIES: Mapping[str, frozenset[str]] = {
    "provisioningserviceowner": frozenset(
        (SERVICE_CONFIG, ENROLLMENT_READ, ENROLLMENT_WRITE, REGISTRATION_READ, REGISTRATION_WRITE)
    ),
    "enrollmentRead": frozenset((ENROLLMENT_READ,)),
    "enrollmentReadWrite": frozenset((ENROLLMENT_READ, ENROLLMENT_WRITE)),
    "registrationRead": frozenset((REGISTRATION_READ,)),
    "registrationReadWrite": frozenset((REGISTRATION_READ, REGISTRATION_WRITE)),
}


@dataclass(frozen=True)
class Policy:
    """A named pair of keys, and what whoever holds one of them may do."""

    name: str
    keys: Keys
    rights: frozenset[str]


class Policies:
    """The policies of one service. service: whose they are in the journal: dps, or a hub's name.

    Keys that the journal does not have are made, 64 bytes each, and kept there.
    """

    def __init__(
        self,
        service: str,
        rights: Mapping[str, frozenset[str]],
        random_bytes: RandomBytes,
        journal: Journal | None = None,
    ) -> None:
        journal = journal or Nowhere()
        kind = f"policy/{service}"
        known = dict(journal.load(kind))
        self._policies: dict[str, Policy] = {}
        for name, allowed in rights.items():
            if name in known:
                keys = Keys(*known[name]["keys"])
            else:
                keys = new_keys(random_bytes)
                journal.put(kind, name, {"keys": list(keys)})
            self._policies[name] = Policy(name, keys, allowed)

    def __iter__(self) -> Iterator[Policy]:
        return iter(self._policies.values())

    def get(self, name: str) -> Policy | None:
        return self._policies.get(name)

    def connection_string(self, name: str, host: str) -> str:
        """A secret: what a service SDK is given. host: a name, with a port if it is not 443."""
        key = self._policies[name].keys.primary_b64
        return f"HostName={host};SharedAccessKeyName={name};SharedAccessKey={key}"

    def authorize(
        self,
        authorization: str,
        hosts: Collection[str],
        right: str,
        now_at: float,
        path: str = "",
    ) -> Policy:
        """The policy whose token the header is; raise Refusal 401 if it may not, and say why.

        hosts: the names of the service, in lower case, with and without a port.
        path: of what is asked for; a token may be for the service, or for a part that path is in.
        """
        try:
            token = sas.parse(authorization)
        except sas.BadToken as bad:
            raise _unauthorized(str(bad)) from None
        return self.judge(token, hosts, right, now_at, path)

    def judge(
        self, token: sas.Token, hosts: Collection[str], right: str, now_at: float, path: str = ""
    ) -> Policy:
        """The same for a token that is parsed already: the password of a CONNECT, for one."""
        if not covers(token.resource, hosts, path):
            raise _unauthorized("the token is for another sr")
        policy = self._policies.get(token.key_name)
        if policy is None or not any(token.is_signed_by(key) for key in policy.keys):
            raise _unauthorized("wrong policy or key")
        if token.expires_at <= now_at:
            raise _unauthorized("the token has expired")
        if right not in policy.rights:
            raise _unauthorized(f"the policy {policy.name} has no right {right}")
        return policy


def covers(resource: str, hosts: Collection[str], path: str) -> bool:
    """Whether a token for resource, `host` or `host/a/part`, may be used for a path of the host.

    An id in it may be percent-encoded once more, as the Node SDK does.
    """
    host, _, part = resource.partition("/")
    if host.lower() not in hosts:
        return False
    wanted = path.strip("/") + "/"
    return any(
        wanted.startswith(f"{some.strip('/')}/".lstrip("/")) for some in (part, unquote(part))
    )


def _unauthorized(why: str) -> Refusal:
    return Refusal(401, 401002, "Unauthorized", why=why)
