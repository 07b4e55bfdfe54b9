"""A line that gives certificates: made by a real CA, proven over TLS, in the record by numbers."""

import json
import os
import sys
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_private_key

from firstlight import boards
from firstlight.ca import founding, making, seal
from firstlight.ca.authority import BatchAuthority, utc_now
from firstlight.ca.folder import Folder
from firstlight.ca.signers import Passphrases
from firstlight.custody import Custody, write_private
from firstlight.emulator.running import running_azure
from firstlight.emulator.settings import Settings
from firstlight.inject import IDENTITY_PATH
from firstlight.line import messages, reach
from firstlight.line.credentials import Certificates
from firstlight.line.seats import Sighting
from firstlight.line.station import Station
from firstlight.line.unit import Result, Unit
from firstlight.record import exports
from firstlight.record.chain import Entry
from firstlight.record.record import Record
from firstlight.repl import Repl
from firstlight.roots import azure_roots
from firstlight.stage import StagedFile, plan
from firstlight.virtual import VirtualBoard, make
from tests.e2e.bench import APP
from tests.leaks import find_secrets
from tests.line import stations
from tests.watched import run_watched

CHIP = "0a0b0c0e"
NAME = f"virtual-{CHIP}"
PASSPHRASE = "a batch's passphrase, of 36 signs"
FIRSTLIGHT = [sys.executable, "-c", "from firstlight.cli import main; main()"]
CERTIFIED = ("authority", "certificate", "good_until", "issuer", "serial")


class Hub:
    """A hub with one seat, and one board at it."""

    def __init__(self, port: str) -> None:
        self.port = port

    def at(self, seat: str) -> Sighting:
        return Sighting(seat, boards.load("VIRTUAL"), self.port, None)


def authority(clock: Callable[[], datetime] = utc_now) -> BatchAuthority:
    """A batch of a new CA, without a folder and a passphrase, which take their time."""
    key, now = making.new_ca_key("ec"), datetime.now(UTC)
    root = making.root(key, "Plant", now, now + timedelta(days=90))
    below = making.new_ca_key("ec")
    until = now + timedelta(days=90)
    batch = making.intermediate(making.Issuer(root, key), below.public_key(), "b", now, until)
    return BatchAuthority("b", root, making.Issuer(batch, below), clock=clock)


CA = authority()


@pytest.fixture
def ca(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A CA, as `firstlight ca init` makes it."""
    monkeypatch.setattr(seal, "_N", 16)  # what makes a passphrase slow to guess, and tests slow
    folder = tmp_path / "plant"
    secrets = Passphrases(Custody({"PASS": PASSPHRASE}, None), "env:PASS")
    founding.found(
        Folder(folder), "Plant", "batch-1", founding.Wishes(), secrets, datetime.now(UTC)
    )
    return folder


@pytest.fixture(scope="module")
def files() -> list[StagedFile]:
    return plan(True, azure_roots())


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VirtualBoard]:
    folder = tmp_path_factory.mktemp("unit") / "unit"
    unit = make(folder, unique_id=bytes.fromhex(CHIP), wifi=stations.WIFI, join_ms=10)
    settings = unit.folder / "virtual.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"speed": 5}))
    with VirtualBoard(unit.folder) as made:
        yield made


@pytest.fixture
def station(
    tmp_path: Path,
    files: list[StagedFile],
    board: VirtualBoard,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Station]:
    """A line with the CA that flashes nothing, and a record of its own."""
    monkeypatch.setattr(reach, "BACK_S", 0.5)
    monkeypatch.setattr(reach, "_LOOK_S", 0.01)
    with Record.open(tmp_path / "line.db", "bench", notes=tmp_path / "heads") as record:
        yield stations.station(
            record,
            {},
            files,
            seats=Hub(board.port or ""),
            flashing=None,
            wanted=("inject", "prove", "unit"),
            credentials=Certificates(CA),
        )


def run(station: Station) -> Result:
    sighting = station.seats.at("1-1")
    assert sighting is not None
    return Unit(station, sighting).run()


def told(station: Station) -> list[tuple[str, str]]:
    return [(entry.stage, entry.outcome) for entry in station.record.history(CHIP)]


def injected(station: Station) -> list[Entry]:
    return [entry for entry in station.record.history(CHIP) if entry.stage == "inject"]


def held(board: VirtualBoard) -> dict[str, Any]:
    """The x509 of the board's identity."""
    with Repl(board.port or "") as repl:
        found = json.loads(repl.exec(f"print(open({IDENTITY_PATH!r}).read())"))
    assert isinstance(found["x509"], dict)
    return found["x509"]


def secret(section: dict[str, Any]) -> dict[str, str]:
    """The number that is the key: all else of its DER is public, or everybody's."""
    key = load_der_private_key(b64decode(section["key"]), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    number = key.private_numbers().private_value.to_bytes(32, "big")
    return {"the unit's key": b64encode(number).decode()}


def check_numbers(station: Station, board: VirtualBoard) -> None:
    """The board holds a certificate of its own, and the record says which."""
    section = held(board)
    leaf, batch = (x509.load_der_x509_certificate(b64decode(one)) for one in section["chain"])
    root = x509.load_pem_x509_certificate(CA.root_pem)
    leaf.verify_directly_issued_by(batch)
    batch.verify_directly_issued_by(root)
    assert leaf.subject.rfc4514_string() == f"CN={NAME}"
    assert x509.load_der_x509_csr(b64decode(section["csr"])).public_key() == leaf.public_key()
    facts = injected(station)[-1].facts
    assert {name: facts[name] for name in CERTIFIED} == {
        "authority": root.fingerprint(hashes.SHA256()).hex()[:16],
        "certificate": leaf.fingerprint(hashes.SHA256()).hex(),
        "good_until": leaf.not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "issuer": batch.fingerprint(hashes.SHA256()).hex(),
        "serial": f"{leaf.serial_number:x}".rjust(len(facts["serial"]), "0"),
    }
    (one,) = (exports.unit(history) for history in station.record.units())
    assert one.credential == f"certificate {facts['serial']}"
    assert (one.certificate_sha256, one.issuer_sha256) == (facts["certificate"], facts["issuer"])
    assert (one.key_fingerprint, one.group_fingerprint) == ("", "")


def test_what_a_line_holds_does_not_show_a_key_to_whoever_prints_it(station: Station) -> None:
    made = station.credentials.make(NAME)
    shown = repr((made, station, station.credentials, vars(station.credentials), made.facts))
    assert find_secrets(shown.encode(), secret(made.section["x509"])) == []


def test_whoever_holds_a_siblings_certificate_is_mended_and_with_another_ca_nothing_is_done(
    station: Station, board: VirtualBoard
) -> None:
    again = replace(station, again=True)
    assert run(station) == Result("1-1", NAME, "passed")
    section = held(board)
    assert run(again).state == "re-proved"
    assert held(board) == section, "a proof needs no other key"
    before = told(station)
    for other in (Certificates(authority()), stations.group_keys()):
        result = run(replace(again, credentials=other))
        assert (result.state, result.advice) == ("failed", messages.CALL)
        assert "give it the right --ca" in result.cause
    assert (told(station), held(board)) == (before, section)

    sibling = CA.issue(NAME).section()
    with Repl(board.port or "") as repl:
        repl.exec(
            "import json\nwith open('/identity.json') as f: me = json.load(f)\n"
            f"me['x509'] = {sibling!r}\nwith open('/identity.json', 'w') as f: json.dump(me, f)"
        )
    failed = run(again)
    assert (failed.state, failed.advice) == ("failed", messages.ASIDE)
    assert "another certificate than it was given" in failed.cause
    assert run(again).state == "passed"
    assert told(station).count(("unit", "done")) == 1


class Killed(BaseException):
    """The process ends here."""


def test_a_unit_cut_off_before_its_injection_is_noted_has_a_certificate_of_the_record_in_the_end(
    station: Station, board: VirtualBoard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    append = Record.append

    def deadly(self: Record, **words: Any) -> Entry:
        if (words["stage"], words["outcome"]) == ("inject", "done"):
            raise Killed
        return append(self, **words)

    with monkeypatch.context() as patched:
        patched.setattr(Record, "append", deadly)
        with pytest.raises(Killed):
            run(station)
    assert run(station).state == "passed"
    facts = [entry.facts for entry in injected(station) if "serial" in entry.facts]
    assert len({each["serial"] for each in facts}) == 2, "each that was ever made is there"
    check_numbers(station, board)
    assert find_secrets(tmp_path, secret(held(board))) == []
    assert told(station).count(("unit", "done")) == 1


def test_a_batch_that_has_expired_is_the_lines_trouble_not_the_units(
    station: Station,
) -> None:
    expired = authority(clock=lambda: datetime.now(UTC) + timedelta(days=99))
    result = run(replace(station, credentials=Certificates(expired)))
    assert (result.state, result.advice) == ("failed", messages.CALL)
    assert "is not that now by this computer's clock" in result.cause
    assert "inject" not in [stage for stage, outcome in told(station) if outcome == "begun"]


def test_a_line_with_a_ca_makes_a_device_of_azures_and_leaves_no_key_wherever_it_ran(
    ca: Path, board: VirtualBoard, tmp_path: Path
) -> None:
    keep, runs = tmp_path / "keep", tmp_path / "runs"
    for folder in (keep, runs, runs / "tmp"):
        folder.mkdir(mode=0o700)
    write_private(keep / "pass", PASSPHRASE + "\n")
    (keep / "app.py").write_bytes(APP)
    settings = Settings(mqtt_port=0, https_port=0, folder=keep / "azure", polls_before_assigned=0)
    with running_azure(settings, lambda _: None) as local:
        local.add_ca("plant", (ca / "root.pem").read_bytes())
        local.enroll_x509_group("line-1", ca_name="plant")
        (keep / "line.toml").write_text(
            f'kinds = ["VIRTUAL={board.folder}"]\nid-scope = "{local.id_scope}"\n'
            f'ca = "{ca}"\nca-passphrase = "file:{keep}/pass"\nwifi = "bench=env:WIFI"\n'
            f'endpoint = "localhost"\nmqtt-port = {local.mqtt_port}\nroot = "{local.root_pem}"\n'
            f'ntp = "{local.host}:{local.sntp_port}"\napp = "{keep}/app.py"\n'
            'no-flash = true\nfirst-boot = 40\ncount = 1\nstation = "bench"\n'
        )
        env = dict(os.environ, XDG_STATE_HOME=str(runs / "state"), TMPDIR=str(runs / "tmp"))
        words = [*FIRSTLIGHT, "line", "--config", str(keep / "line.toml")]
        done = run_watched(words, env=env | {"WIFI": stations.WIFI["bench"]}, cwd=runs)
        assert done.returncode == 0, done.stdout + done.stderr
        assert local.telemetry(NAME)
    assert b"1 unit: 1 passed" in done.stdout
    section = held(board)
    secrets = {"the passphrase": PASSPHRASE} | secret(section)
    assert find_secrets(runs, secrets) == []
    assert find_secrets(done.shown(), secrets) == []
    assert find_secrets(ca, secrets) == [], "nor does the CA keep it"
    assert find_secrets(json.dumps(section).encode(), secrets), "it would be found"
