"""A virtual board that proves itself with certificates, at the local Azure: real firmware, TLS."""

import json
from typing import Any

import pytest

from firstlight.emulator.hub.proving import Trust
from tests.board.issuing import Issuer, b64, csr, ec_key, key_der, pem, rsa_key
from tests.e2e.bench import NAME, Bench
from tests.e2e.flashed import put
from tests.e2e.test_roots import said

WAIT_S = 20.0
ROOT = Issuer("the factory's root")
BATCH = Issuer("batch 7", Issuer("line 2", ROOT))
KEY = ec_key()
FRESH, DUE = (-100, 400), (-200, 20)  # days of a life; what is issued is good for 30


def section(days: tuple[float, float] = FRESH, key: Any = KEY, **changes: Any) -> dict[str, Any]:
    made = {
        "chain": BATCH.chain(BATCH.leaf(NAME, key, days)),
        "key": b64(key_der(key)),
        "csr": b64(csr(key, NAME)),
    }
    return made | changes


def group(bench: Bench, **more: Any) -> None:
    """Enroll every device below the factory's root."""
    bench.azure.add_ca("factory", pem(ROOT.certificate))
    bench.azure.enroll_x509_group("batch-7", ca_name="factory", **more)


def says(bench: Bench, text: str) -> str:
    return bench.board.read_console_until(text, WAIT_S).decode()


def works(bench: Bench, more: int = 1) -> None:
    count = len(bench.azure.telemetry(NAME))
    try:
        bench.azure.wait_for_telemetry(count + more, NAME, WAIT_S)
    except TimeoutError:
        pytest.fail(bench.board.console.decode()[-3000:])


@pytest.mark.parametrize("key", [lambda: KEY, rsa_key], ids=["ec", "rsa"])
def test_a_board_of_a_group_gets_to_telemetry_with_a_chain_of_three(
    key: Any, bench: Bench
) -> None:
    group(bench)
    bench.give(bench.certified(section(key=key())))
    with bench.board:
        works(bench)
        assert bench.azure.wait_for(lambda local: "certificate" in said(local), WAIT_S)
        assert b"renewed" not in bench.board.console


def test_a_board_with_an_enrollment_of_its_own_needs_no_more_than_its_leaf(bench: Bench) -> None:
    leaf = BATCH.leaf(NAME, KEY)
    bench.azure.enroll_x509(NAME, pem(leaf))
    bench.give(bench.certified(section(chain=BATCH.chain(leaf)[:1])))
    with bench.board:
        works(bench)


def test_a_certificate_is_replaced_before_it_expires(bench: Bench) -> None:
    group(bench, credentialPolicyName="default")
    bench.give(bench.certified(section(DUE)))
    with bench.board:
        says(bench, "issued, good until ")
        says(bench, "renewed")
        works(bench)
        assert bench.board.console.count(b"issued, good until ") == 1
    with bench.board:
        assert "issued, good until " in says(bench, "acknowledged")
        assert b"dps " not in bench.board.console


def test_a_dps_that_issues_nothing_is_asked_without(bench: Bench) -> None:
    group(bench)  # no policy: 400
    bench.give(bench.certified(section(DUE)))
    with bench.board:
        assert "400" in says(bench, "none is issued: ") + says(bench, "\n")
        works(bench)


def test_a_certificate_that_the_hub_refuses_is_given_up_for_the_old_one(bench: Bench) -> None:
    bench.azure.call(lambda local: local.hubs["localhost"].believe(Trust()))
    group(bench, credentialPolicyName="default")
    bench.give(bench.certified(section(DUE)))
    with bench.board:
        says(bench, "on trial")
        says(bench, "the new one was refused: back to the old")
        works(bench, 2)


@pytest.mark.parametrize("writes", [27, 36])
def test_a_power_cut_while_a_certificate_is_stored_leaves_the_old_or_the_new(
    writes: int, bench: Bench
) -> None:
    group(bench, credentialPolicyName="default")
    bench.give(bench.certified(section(DUE)))
    bench.tune(cut_after=writes)
    with bench.board:
        says(bench, "power cut")
    bench.tune(cut_after=None)
    with bench.board:
        works(bench)


@pytest.mark.parametrize("wrong", [{"key": b64(b"no key")}, {"chain": [b64(b"\x30\x03abc")]}])
def test_what_tls_does_not_take_waits_at_the_repl_for_an_injection(
    wrong: dict[str, Any], bench: Bench
) -> None:
    bench.give(bench.certified(section()))
    document = json.dumps(bench.certified(section() | wrong)).encode()
    put(bench.board.folder / "flash.img", {"/identity.json": document})
    with bench.board:
        told = says(bench, ">>> ")
        assert "no identity (x509 is refused by TLS: invalid " in told
        assert "reset" not in told
