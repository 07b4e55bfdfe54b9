"""What the CA makes, before the emulator's own rules for certificates: two halves that agree."""

import secrets
import time

import pytest
from cryptography import x509

from firstlight.ca.authority import utc_now
from firstlight.ca.folder import Folder
from firstlight.ca.proving import prove
from firstlight.emulator import chains
from firstlight.emulator.answers import Refusal
from firstlight.emulator.authorities import Authorities
from tests.ca import founded

DPS = "dps"


@pytest.mark.parametrize("name", ["root", "batch-1"])
def test_a_proof_verifies_the_ca_that_made_it_and_no_other(folder: Folder, name: str) -> None:
    known, now = Authorities(), time.time()
    ledger = folder.ledger()
    for each in ledger.members:
        known.put(DPS, each.name, folder.certificate(each), False, now, secrets.token_bytes)
        known.challenge(DPS, each.name, now, secrets.token_bytes)
    code = known.get(DPS, name).code
    assert code is not None
    pem = prove(folder, name, code, founded.secrets(), utc_now())
    proof = x509.load_pem_x509_certificate(pem)
    (other,) = {"root", "batch-1"} - {name}
    with pytest.raises(Refusal):
        known.verify(DPS, other, proof, now, secrets.token_bytes)
    assert known.verify(DPS, name, proof, now, secrets.token_bytes).is_verified


def test_a_units_chain_leads_to_its_root_and_to_its_batch(folder: Folder) -> None:
    authority = founded.opened(folder.path)
    chain = chains.read(authority.issue("esp32-a1b2c3").chain)
    ledger = folder.ledger()
    assert chain.common_name == "esp32-a1b2c3"
    for member in ledger.members:
        anchor = folder.certificate(member)
        assert chains.anchored(chain, [anchor], time.time()) == anchor
