"""The emulator's calls for CA certificates, which Azure has in its Resource Manager.

Pure. Bodies and answers are those of Microsoft.Devices/provisioningServices/certificates and
IotHubs/certificates. owner: `dps`, or a hub's host name:

    GET    /emulator/certificates/{owner}
    GET    /emulator/certificates/{owner}/{name}
    PUT    /emulator/certificates/{owner}/{name}      {"properties": {"certificate": "MII...",
                                                       "isVerified": true}}
    DELETE /emulator/certificates/{owner}/{name}
    POST   /emulator/certificates/{owner}/{name}/generateVerificationCode
    POST   /emulator/certificates/{owner}/{name}/verify      {"certificate": "MII..."}

A certificate is PEM, or base64 of DER or PEM. If-Match is heeded where it is sent.
"""

from collections.abc import Collection

from cryptography import x509

from ..answers import Answer, Json, RandomBytes, Refusal, object_in, parse_object
from ..authorities import DPS, Authorities, Authority
from ..dps import certificates
from ..rest import Call, check_match

_DPS_TYPE = "Microsoft.Devices/ProvisioningServices/Certificates"
_HUB_TYPE = "Microsoft.Devices/IotHubs/Certificates"
_MAX_TEXT = 16 * 1024


class CertificateCalls:
    """The calls, over the authorities. hubs: the names of those that have some."""

    def __init__(
        self, authorities: Authorities, hubs: Collection[str], random_bytes: RandomBytes
    ) -> None:
        self._authorities = authorities
        self._hubs = hubs
        self._random_bytes = random_bytes

    def handle(self, call: Call, now_at: float) -> Answer:
        """Answer a call; raise Refusal."""
        owner, *rest = call.path.strip("/").split("/")[2:] or [""]
        owner = owner.lower()
        if owner != DPS and owner not in self._hubs:
            raise Refusal(404, 404000, "Neither dps nor a hub of this emulator.")
        if not rest:
            _check(call, "GET")
            known = [_document(one, owner) for one in self._authorities.all(owner)]
            return Answer(200, {"value": known})
        if len(rest) == 1:
            return self._one(call, owner, rest[0], now_at)
        if len(rest) == 2 and rest[1].lower() in ("generateverificationcode", "verify"):
            _check(call, "POST")
            return self._prove(call, owner, rest[0], rest[1].lower(), now_at)
        raise Refusal(404, 404000, "The emulator has no such call.")

    def _one(self, call: Call, owner: str, name: str, now_at: float) -> Answer:
        _check(call, "GET", "PUT", "DELETE")
        if call.method == "PUT":
            return self._put(call, owner, name, now_at)
        known = self._authorities.get(owner, name)
        if call.method == "DELETE":
            check_match(call.headers.get("if-match"), known.etag)
            self._authorities.delete(owner, name)
            return Answer(204, None, f"CA certificate {name} of {owner} deleted")
        return Answer(200, _document(known, owner))

    def _put(self, call: Call, owner: str, name: str, now_at: float) -> Answer:
        wanted = call.headers.get("if-match")
        if wanted is not None:
            check_match(wanted, self._authorities.get(owner, name).etag)
        properties = object_in(parse_object(call.body), "properties")
        verified = properties.get("isVerified", False)
        if not isinstance(verified, bool):
            raise Refusal(400, 400000, "Invalid isVerified: must be true or false.")
        certificate = _certificate(properties)
        known = self._authorities.put(
            owner, name, certificate, verified, now_at, self._random_bytes
        )
        return Answer(200, _document(known, owner), f"CA certificate {name} of {owner} kept")

    def _prove(self, call: Call, owner: str, name: str, what: str, now_at: float) -> Answer:
        known = self._authorities.get(owner, name)
        check_match(call.headers.get("if-match"), known.etag)
        if what == "verify":
            proof = _certificate(parse_object(call.body))
            known = self._authorities.verify(owner, name, proof, now_at, self._random_bytes)
            return Answer(200, _document(known, owner), f"CA certificate {name} verified")
        known = self._authorities.challenge(owner, name, now_at, self._random_bytes)
        document = _document(known, owner)
        document["properties"]["verificationCode"] = known.code
        return Answer(200, document, f"verification code for {name} made")


def _document(authority: Authority, owner: str) -> Json:
    return authority.document(_DPS_TYPE if owner == DPS else _HUB_TYPE)


def _certificate(document: Json) -> x509.Certificate:
    text = document.get("certificate")
    if not isinstance(text, str) or not 0 < len(text) <= _MAX_TEXT:
        raise Refusal(400, 400000, f"Invalid certificate: a text of 1 to {_MAX_TEXT} characters.")
    return certificates.loaded(certificates.read(text)["certificate"])


def _check(call: Call, *methods: str) -> None:
    if call.method not in methods:
        raise Refusal(405, 405000, f"Method not allowed: {', '.join(methods)} alone.")
