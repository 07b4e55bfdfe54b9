"""The doctor's verdict: findings in, one sentence out; and the table beside it."""

from dataclasses import replace
from typing import Any

import pytest

from firstlight.doctor.findings import (
    Air,
    Assignment,
    Certificate,
    Chain,
    Dps,
    Files,
    Findings,
    Identity,
    Life,
    Root,
    Trial,
    used_roots,
)
from firstlight.doctor.table import rows
from firstlight.doctor.verdict import judge

NOW = 1_800_000_000
ME = Identity(
    "0ne00111111",
    "esp32-a1b2c3d4e5f6",
    "dps.example",
    443,
    ("home",),
    fingerprints={"primary": "0123456789abcdef"},
)
ROOT = Root("/roots", "g2.der", "DigiCert Global Root G2", "cb3ccbb76031e5e0", NOW + 1)
WELL = Findings(
    port="/dev/ttyUSB0",
    read_at=NOW,
    micropython="1.29.0",
    machine="Generic ESP32",
    chip_id="a1b2c3d4e5f6",
    files=Files(True),
    identity=ME,
    in_group=True,
    life=Life("serve", reset="power on", boots=1, sent=3),
    assignment=Assignment(
        "hub.example", "esp32-a1b2c3d4e5f6", "dps.example/0ne00111111/esp32-a1b2c3d4e5f6"
    ),
    stored=0,
    free_bytes=1 << 20,
    clock_off_s=1,
    air=Air({"home": -50}, 2, "10.0.0.7"),
    roots=(ROOT,),
    trial=Trial(0, 0, 0),
    dps=Dps(200, "assigned", "hub.example"),
)
GONE = Air({}, 2)
OLD = replace(ROOT, ends_at=NOW - 1)


DAY = 86400
LEAF = Certificate(ME.registration_id, "batch 1", "ab" * 32, NOW - 9 * DAY, NOW + 900 * DAY)
BATCH = Certificate("batch 1", "the root", "cd" * 32, NOW - 9 * DAY, NOW + 900 * DAY)
CERTIFIED = replace(ME, fingerprints={}, by_certificate=True)


def certified(*chains: Chain, **changes: Any) -> Findings:
    """A board by certificate that is well, but for what changes."""
    usual: dict[str, Any] = {
        "identity": CERTIFIED,
        "chains": chains or (chain(LEAF, BATCH),),
        "in_group": None,
    }
    return replace(WELL, **(usual | changes))


def chain(*certificates: Certificate, number: int = 0, fault: str = "") -> Chain:
    return Chain(number, certificates, fault)


OVER = replace(LEAF, ends_at=NOW - DAY)
NEXT = chain(replace(LEAF, fingerprint="ef" * 32), BATCH, number=1)


def sick(**changes: Any) -> Findings:
    return replace(WELL, **changes)


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (Findings("/dev/ttyUSB0", NOW), "nothing on /dev/ttyUSB0 answers as MicroPython"),
        (sick(micropython="1.20.0", too_old=True), "its MicroPython, 1.20.0, is too old"),
        (sick(files=Files(False), identity=None, wrong=""), "but no firmware"),
        (sick(files=Files(True, ("/aziot/sas.mpy",))), "not whole, /aziot/sas.mpy missing"),
        (sick(identity=None, wrong="none"), "it has no identity: give it one"),
        (sick(identity=None, wrong="unread"), "its firmware cannot read its identity"),
        (sick(identity=None, wrong="torn"), "its identity cannot be used (torn)"),
        (sick(identity=None, wrong="no room"), "too small to be examined as it runs"),
        (sick(identity=None, wrong="no room", life=Life()), "too small for its identity"),
        (certified(unproven="a key of nobody"), "cannot prove its certificate (a key of nobody)"),
        (sick(chip_id="a1b2c3d4e5f7"), "is another chip's, and this one is a1b2c3d4e5f7"),
        (sick(in_group=False), "its key is not the one of this group"),
        (sick(dps=Dps(401, told="Unauthorized")), "DPS refuses its key (401)"),
        (sick(dps=Dps(200, "disabled")), "esp32-a1b2c3d4e5f6 is disabled at DPS"),
        (sick(identity=replace(ME, networks=())), "its identity names no network"),
        (sick(air=GONE), "its network (home) is not in the air here"),
        (sick(air=Air({"home": -60}, refused="home: wrong password")), "password is refused"),
        (sick(air=None, life=Life(heard="joined none of home: wrong password")), "is refused"),
        (
            sick(air=Air({"home": -90}, refused="status 1001")),
            "gets onto no network (status 1001)",
        ),
        (sick(life=Life(error="ProtocolError no time; ntp: ...")), "it finds no time"),
        (sick(clock_off_s=-86400), "its clock is off by -86400 s"),
        (sick(roots=()), "it has no trust root that can be read"),
        (sick(roots=(OLD,)), "its trust roots expired (DigiCert Global Root G2)"),
        (sick(dps=Dps(trusted=False, told="x")), "do not vouch for DPS's certificate (x)"),
        (sick(dps=Dps(404)), "no registration of esp32-a1b2c3d4e5f6 in 0ne00111111 (404)"),
        (sick(dps=Dps(404), assignment=Assignment("h", "d", "another")), "no registration of"),
        (sick(dps=Dps(200, "assigning")), "has not assigned it to a hub (200 assigning)"),
        (sick(dps=Dps(302)), "has not assigned it to a hub (302 )"),
        (Findings("COM3", NOW, life=Life(noisy=True)), "what speaks on COM3 does not answer"),
        (Findings("COM3", NOW, life=Life("hub")), "its firmware runs (hub), but lets nobody in"),
        (sick(dps=Dps(200, "failed", told="no hub (code 400208)")), "failed at DPS (no hub"),
        (sick(dps=Dps(400, told="Invalid")), "DPS refuses it (400 Invalid)"),
        (sick(files=Files(True, (), ("/a", "/b", "/c", "/d"))), "(/a, /b, /c and 1 more differ)"),
        (certified(chain(LEAF, fault="it is odd")), "do not fit together (it is odd): give it"),
        (certified(chain(OVER, BATCH)), "certificate expired (esp32-a1b2c3d4e5f6, 2027-01-14)"),
        (
            certified(chain(LEAF, replace(BATCH, ends_at=NOW))),
            "its certificate expired (batch 1, 2027-01-15)",
        ),
        (
            certified(chain(replace(LEAF, begins_at=NOW + DAY))),
            "good only from 2027-01-16 on (esp32-a1b2c3d4e5f6)",
        ),
        (
            certified(chain(OVER), chain(OVER, number=1), renewal=Trial(1, 1, 0)),
            "its certificate expired",
        ),
        (
            certified(dps=Dps(401, told="Invalid certificate. (code 401002)")),
            "DPS refuses its certificate (401 Invalid certificate. (code 401002))",
        ),
        (
            certified(
                chain(OVER), chain(LEAF, number=1), renewal=Trial(1, 1, 0), dps=Dps(401, told="x")
            ),
            "the factory's certificate expired (2027-01-14), and DPS takes no other of it",
        ),
        (certified(in_group=False), "its certificates do not lead to this CA"),
        (certified(dps=Dps(200, "disabled")), "is disabled at DPS"),
        (
            certified(life=Life("hub", "ProtocolError CONNACK refused, code 5")),
            "hub.example refuses its certificate (ProtocolError CONNACK refused, code 5)",
        ),
        (
            certified(dps=None, life=Life("hub", "ProtocolError CONNACK refused, code 5")),
            "its last try failed (ProtocolError CONNACK refused, code 5)",
        ),
        (
            certified(clock_off_s=-86400),
            "its clock is off by -86400 s, so that no certificate is good to it",
        ),
        (sick(free_bytes=4096), "its flash is full (4096 bytes free)"),
        (sick(life=Life(app="TypeError")), "its app.py fails (TypeError)"),
        (sick(life=Life("fault", "KeyError")), "its firmware met a bug (KeyError)"),
        (sick(life=Life("serve", "OSError 104")), "its last try failed (OSError 104)"),
    ],
)
def test_every_cause_has_its_sentence(found: Findings, sentence: str) -> None:
    verdict = judge(found)
    assert sentence in verdict.sentence
    assert not verdict.fine
    assert "\n" not in verdict.sentence


def test_the_earliest_cause_speaks() -> None:
    everything: dict[str, Any] = {
        "dps": Dps(401),
        "air": GONE,
        "clock_off_s": 9999,
        "roots": (OLD,),
        "files": Files(True, (), ("/a",)),
        "free_bytes": 0,
        "life": Life("serve", "OSError 104"),
    }
    order = (
        "refuses its key",
        "in the air",
        "clock",
        "expired",
        "another release",
        "full",
        "last",
    )
    for name, words in zip(tuple(everything), order, strict=True):
        assert words in judge(sick(**everything)).sentence
        del everything[name]
    assert judge(sick(**everything)).fine


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (WELL, "everything is in order"),
        (sick(dps=None), "everything is in order, but DPS was not asked"),
        (sick(dps=Dps(told="no answer")), "in order, but DPS could not be asked from here"),
        (sick(life=Life(before="OSError 104")), "before its last reset it met this: OSError 104"),
        (sick(life=Life(reset="watchdog")), "its last reset was its watchdog's"),
        (sick(in_group=None, clock_off_s=None, stored=None), "everything is in order"),
        (certified(), "everything is in order"),
        (certified(chain(OVER), NEXT, renewal=Trial(1, 1, 0)), "everything is in order"),
        (
            certified(NEXT, chain(OVER, number=2), renewal=Trial(1, 2, 0)),
            "the certificate that it uses now is not good, and an older one is",
        ),
        (
            certified(chain(LEAF, BATCH), chain(number=2), renewal=Trial(2, 2, 0)),
            "the certificate that it uses now is not good, and an older one is",
        ),
        (certified(chain(replace(LEAF, ends_at=NOW + 9 * DAY))), "everything is in order"),
        (
            certified(chain(replace(LEAF, begins_at=NOW - 900 * DAY, ends_at=NOW + 9 * DAY))),
            "its certificate expires in 9 days, and it cannot ask for another: inject it anew",
        ),
        (
            certified(
                chain(replace(LEAF, ends_at=NOW + 9)), identity=replace(CERTIFIED, renews=True)
            ),
            "its certificate expires in 1 day, and it asks DPS for the next",
        ),
        (sick(air=None), "in order, but whether it gets onto its network was not seen"),
        (sick(air=Air({"home": -50})), "in order, but whether it gets onto its network"),
        (sick(air=GONE, identity=replace(ME, ethernet=True)), "everything is in order"),
        (sick(roots=(OLD, ROOT)), "everything is in order"),
        (sick(clock_off_s=-800_000_000, life=Life("wifi")), "everything is in order"),
        (sick(identity=replace(ME, registration_id="lamp-000017")), "everything is in order"),
    ],
)
def test_what_is_no_fault_is_told_as_none(found: Findings, sentence: str) -> None:
    verdict = judge(found)
    assert verdict.fine
    assert sentence in verdict.sentence


def test_roots_on_trial_are_the_ones_in_use() -> None:
    newer = replace(ROOT, folder="/roots2", ends_at=NOW - 1)
    found = sick(roots=(ROOT, newer), trial=Trial(0, 2, 1))
    assert used_roots(found) == [newer]
    assert "expired" in judge(found).sentence
    assert used_roots(replace(found, trial=Trial(0, 2, 3))) == [ROOT]
    assert used_roots(replace(found, trial=Trial(2, 2, 0))) == [newer]


def test_the_table_shows_every_finding() -> None:
    table = dict(rows(WELL))
    assert table["MicroPython"] == "1.29.0 on Generic ESP32"
    assert table["primary key"] == "fingerprint 0123456789abcdef"
    assert table["Wi-Fi home"] == "-50 dBm"
    assert table["DPS"] == "200 assigned to hub.example"
    assert "until 2027-01-15" in table["root /roots/g2.der"]
    assert dict(rows(sick(clock_off_s=-800_000_000)))["clock"] == "not set"
    empty = dict(rows(Findings("/dev/ttyUSB0", NOW)))
    assert empty["MicroPython"] == "no answer"
    assert empty["DPS"] == "not asked"


def test_the_table_shows_every_certificate_and_which_is_in_use() -> None:
    found = certified(chain(OVER, BATCH), NEXT, renewal=Trial(0, 1, 0))
    table = dict(rows(found))
    assert table["certificate"].startswith("esp32-a1b2c3d4e5f6 by batch 1, EXPIRED 2027-01-14")
    assert table["certificate, above"].endswith("SHA-256 " + "cd" * 32)
    assert table["certificate 1, chain"] == "in order, leaf first, up to the root; on trial"
    good = dict(rows(replace(found, renewal=Trial(1, 1, 0))))
    assert good["certificate 1, chain"] == "in order, leaf first, up to the root; the good one"
    failed = dict(rows(replace(found, renewal=Trial(0, 1, 3))))
    assert failed["certificate 1, chain"] == "in order, leaf first, up to the root; failed 3 times"
    shown = certified(dps=Dps(200, "assigned", "hub.example", key="factory's certificate"))
    assert dict(rows(shown))["DPS"] == "200 assigned to hub.example with its factory's certificate"
