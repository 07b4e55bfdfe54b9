"""CA certificates of DPS and of hubs: kept, listed, verified by proof of possession."""

import base64
import itertools
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from firstlight.emulator.answers import Answer, Refusal
from firstlight.emulator.authorities import MAX_AUTHORITIES, Authorities
from firstlight.emulator.http.own import OwnApi
from firstlight.emulator.http.own_certificates import CertificateCalls
from firstlight.emulator.journal import Journal
from firstlight.emulator.rest import Call
from firstlight.emulator.state import SqliteJournal
from tests.certificates import Issued, make_ca, make_leaf, make_root

NOW = 1_795_000_000.0
START = datetime.fromtimestamp(NOW, UTC)
ROOT = make_root(start=START)
DER_B64 = base64.b64encode(ROOT.der).decode()


class Bench:
    def __init__(self, journal: Journal | None = None) -> None:
        counter = itertools.count(1)
        self.random = lambda count: next(counter).to_bytes(count, "big")
        self.known = Authorities(journal)
        calls = CertificateCalls(self.known, ("hub-a",), self.random)
        self.api = OwnApi(dict, list, {}, self.random, certificates=calls.handle)

    def put(self, name: str, ca: Issued = ROOT, verified: bool = True, owner: str = "dps") -> None:
        self.known.put(owner, name, ca.certificate, verified, NOW, self.random)

    def call(self, method: str, path: str, document: Any = None, **headers: str) -> Answer:
        body = b"" if document is None else json.dumps(document).encode()
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.api.handle(
            Call(method, f"/emulator/certificates/{path}", {}, named, body), NOW
        )

    def upload(self, path: str = "dps/root", text: str = ROOT.pem, **properties: Any) -> Answer:
        return self.call("PUT", path, {"properties": {"certificate": text} | properties})

    def code(self, path: str = "dps/root") -> str:
        answer = self.call("POST", f"{path}/generateVerificationCode")
        assert answer.status == 200
        return str(answer.document["properties"]["verificationCode"])

    def verify(self, proof: Issued, path: str = "dps/root") -> Answer:
        return self.call("POST", f"{path}/verify", {"certificate": proof.pem})


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_certificate_is_kept_as_azure_shows_it(bench: Bench) -> None:
    assert bench.upload().status == 200
    shown = bench.call("GET", "dps/root").document
    assert bench.call("GET", "dps").document == {"value": [shown]}
    assert shown["name"] == "root"
    properties = shown["properties"]
    assert base64.b64decode(properties.pop("certificate")) == ROOT.der
    assert properties == {
        "subject": "CN=Test Root",
        "expiry": f"{ROOT.certificate.not_valid_after_utc:%a, %d %b %Y %H:%M:%S} GMT",
        "thumbprint": ROOT.sha1,
        "isVerified": False,
        "created": "Wed, 18 Nov 2026 11:06:40 GMT",
        "updated": "Wed, 18 Nov 2026 11:06:40 GMT",
    }


@pytest.mark.parametrize("text", [ROOT.pem, DER_B64, base64.b64encode(ROOT.pem.encode()).decode()])
def test_a_certificate_comes_as_pem_or_as_base64(bench: Bench, text: str) -> None:
    assert bench.upload(text=text, isVerified=True).status == 200
    assert bench.known.anchors("dps") == (ROOT.certificate,)


def test_what_is_not_verified_counts_for_nothing(bench: Bench) -> None:
    bench.put("root", verified=False)
    assert bench.known.anchors("dps") == ()
    bench.put("root", verified=True)
    assert bench.known.anchors("dps") == (ROOT.certificate,)


def test_who_can_sign_a_code_has_the_key(bench: Bench) -> None:
    bench.upload()
    code = bench.code()
    assert len(code) == 48
    assert set(code) <= set("0123456789ABCDEF")
    done = bench.verify(make_leaf(ROOT, code, start=START))
    assert (done.status, done.document["properties"]["isVerified"]) == (200, True)
    assert "verificationCode" not in done.document["properties"]
    assert bench.known.anchors("dps") == (ROOT.certificate,)
    spent = bench.verify(make_leaf(ROOT, code, start=START))
    assert (spent.status, "generate one first" in spent.document["message"]) == (400, True)


def test_a_false_proof_verifies_nothing(bench: Bench) -> None:
    bench.upload()
    assert bench.verify(make_leaf(ROOT, "code", start=START)).status == 400
    code = bench.code()
    other = make_root(start=START)
    expired = make_leaf(ROOT, code, start=START, since_days=-9, days=-2)
    for proof, word in (
        (make_leaf(ROOT, code[:-1] + "F", start=START), "common name"),
        (make_leaf(other, code, start=START), "did not sign"),
        (make_leaf(make_ca(ROOT, start=START), code, start=START), "did not sign"),
        (expired, "expired"),
    ):
        answer = bench.verify(proof)
        assert answer.status == 400
        assert word in answer.document["message"]
    assert bench.code() != code
    assert bench.verify(make_leaf(ROOT, code, start=START)).status == 400  # another took its place
    assert bench.known.anchors("dps") == ()


def test_another_certificate_under_a_name_must_be_verified_anew(bench: Bench) -> None:
    bench.upload(isVerified=True)
    other = make_root("Other", start=START)
    answer = bench.upload("dps/ROOT", other.pem)
    assert answer.document["properties"]["isVerified"] is False
    assert len(bench.known.all("dps")) == 1
    assert bench.known.named("dps", other.certificate) == ["root"]


def test_each_owner_has_its_own(bench: Bench) -> None:
    bench.upload("hub-a/root", isVerified=True)
    assert bench.known.anchors("dps") == ()
    assert bench.known.anchors("hub-a") == (ROOT.certificate,)
    shown = bench.call("GET", "hub-a").document["value"]
    assert [one["type"] for one in shown] == ["Microsoft.Devices/IotHubs/Certificates"]
    assert bench.call("GET", "hub-b").status == 404


def test_a_certificate_that_is_deleted_is_gone(bench: Bench) -> None:
    bench.upload(isVerified=True)
    assert bench.known.anchors("dps")
    assert bench.call("DELETE", "dps/root").status == 204
    assert bench.known.anchors("dps") == ()
    assert bench.call("DELETE", "dps/root").status == 404
    assert bench.call("GET", "dps/root").status == 404


def test_an_etag_that_does_not_match_changes_nothing(bench: Bench) -> None:
    tag = bench.upload().document["etag"]
    for method, path in (
        ("DELETE", "dps/root"),
        ("PUT", "dps/root"),
        ("POST", "dps/root/generateVerificationCode"),
        ("POST", "dps/root/verify"),
    ):
        assert bench.call(method, path, {}, if_match='"other"').status == 412
    assert bench.call("DELETE", "dps/root", if_match=tag).status == 204


@pytest.mark.parametrize(
    ("path", "properties"),
    [
        ("dps/" + "n" * 65, {"certificate": ROOT.pem}),
        ("dps/a b", {"certificate": ROOT.pem}),
        ("dps/root", {}),
        ("dps/root", {"certificate": ""}),
        ("dps/root", {"certificate": "AAAA"}),
        ("dps/root", {"certificate": "A" * 20_000}),
        ("dps/root", {"certificate": make_leaf(None, "no-ca").pem}),
        ("dps/root", {"certificate": ROOT.pem, "isVerified": "yes"}),
    ],
)
def test_what_makes_no_sense_is_refused(bench: Bench, path: str, properties: Any) -> None:
    assert bench.call("PUT", path, {"properties": properties}).status == 400
    assert bench.known.all("dps") == []


def test_a_call_that_is_none_is_refused(bench: Bench) -> None:
    bench.upload()
    assert bench.call("GET", "").status == 404
    assert bench.call("GET", "dps/root/verify").status == 405
    assert bench.call("POST", "dps/root").status == 405
    assert bench.call("PUT", "dps").status == 405
    assert bench.call("POST", "dps/root/other").status == 404
    assert bench.call("POST", "dps/none/verify", {"certificate": ROOT.pem}).status == 404


def test_there_are_25_at_most(bench: Bench) -> None:
    for number in range(MAX_AUTHORITIES):
        bench.put(f"ca-{number}")
    bench.put("ca-7")
    bench.put("root", owner="hub-a")
    with pytest.raises(Refusal, match="25"):
        bench.put("more")


def test_authorities_outlive_their_process(tmp_path: Path) -> None:
    journal = SqliteJournal(tmp_path / "state.db")
    bench = Bench(journal)
    bench.put("Verified")
    bench.put("open", make_root("Open", start=START), verified=False)
    bench.put("gone")
    bench.put("hubs", owner="hub-a")
    code = bench.code("dps/open")
    bench.known.delete("dps", "gone")
    before = bench.known.all("dps")
    journal.commit()
    journal.close()
    again = Bench(SqliteJournal(tmp_path / "state.db")).known
    assert again.all("dps") == before
    assert again.get("dps", "open").code == code
    assert again.anchors("dps") == again.anchors("hub-a") == (ROOT.certificate,)
    assert ROOT.certificate.public_bytes(Encoding.DER) == ROOT.der
