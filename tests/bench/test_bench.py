"""That the bench measures and judges. No time is asserted: machines differ."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench import servers, soak
from tests.bench.figures import Size, Target, exit_code, ratios, spread, table
from tests.bench.fleet import Job
from tests.bench.processes import BenchError, Server
from tests.bench.rates import Row, read

NOTHING = Target("x", "0", None)


def test_the_bench_measures_every_row_and_ends_well() -> None:
    found = subprocess.run(
        [sys.executable, "-m", "tests.bench", "--quick"],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert (found.returncode, found.stderr) == (0, "")
    rows = [
        "firstlight emulate",
        "bare TLS handshake",
        "registration",
        "registration, --state",
    ]
    rows += ["telemetry", "telemetry, --state", "connected, subscribed, sent"]
    rows += ["firstlight keys derive --ids", "the openssl pipeline"]
    rows += ["one after another", "side by side", "inject", "mpremote cp"]
    rows += ["days of a message a minute", "tokens renewed", "heap in use, last fifth"]
    if servers.mosquitto_program() is not None:
        rows += [
            "mosquitto CONNECT",
            "mosquitto CONNECT, password",
            "mosquitto PUBLISH",
        ]
    for row in rows:
        assert f"\n{row}  " in found.stdout or f"\n  {row}  " in found.stdout, row
    assert found.stdout.count("not judged") == 11


def test_an_unknown_option_is_refused() -> None:
    command = [sys.executable, "-m", "tests.bench", "--devices", "0x"]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 2


def test_a_missed_target_ends_with_1() -> None:
    assert exit_code([Target("x", "1", True), NOTHING]) == 0
    assert exit_code([Target("x", "1", True), Target("y", "0.4", False)]) == 1
    assert Target("y", "0.4", False).text().startswith("MISSED")


def test_ratios_are_of_the_same_round() -> None:
    # What slowed the machine in the second round slowed both.
    assert ratios([10, 5, 12], of=[20, 10, 16]) == spread([0.5, 0.5, 0.75])


def test_a_table_shows_the_least_the_middle_and_the_most() -> None:
    lines = table("a second", {"one": [3.0, 1.0, 2.0]}, lambda value: value * 10).splitlines()
    assert [line.split() for line in lines[:2]] == [
        ["a", "second", "least", "median", "most"],
        ["one", "10", "20", "30"],
    ]


def test_devices_that_are_refused_fail_the_bench(tmp_path: Path) -> None:
    with servers.emulator(tmp_path / "azure") as azure:
        stranger = Job(**(vars(azure.job) | {"group_key_b64": "AAAAAAAAAAAAAAAAAAAAAA=="}))
        with pytest.raises(BenchError, match=r"a device failed: .* 401"):
            read(
                Row("", Server(azure.process, stranger), "register"),
                0,
                2,
                Size(processes=1),
            )
        with pytest.raises(BenchError, match="CONNACK 5"):
            read(Row("", azure, "hub"), 0, 2, Size(processes=1))  # nobody has registered


def test_a_server_that_ends_fails_the_bench(tmp_path: Path) -> None:
    with servers.bare(tmp_path / "bare") as bare:
        bare.process.kill()
        bare.process.wait()
        with pytest.raises(BenchError, match="ended before its time"):
            read(Row("", bare, "handshake"), 0, 1, Size(processes=1))


def test_a_fleet_shows_no_key(tmp_path: Path) -> None:
    with servers.emulator(tmp_path / "azure") as azure:
        read(Row("", azure, "register"), 0, 2, Size(processes=1))
        command = Path(f"/proc/{azure.process.pid}/cmdline").read_text()
    said = (tmp_path / "azure" / "log").read_text()
    assert "registered" in said
    assert azure.job.group_key_b64 not in command + said
    assert json.loads(said.splitlines()[0])["what"] == "ready"


def test_a_server_that_never_rests_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.bench.processes._END_S", 0.2)
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
        try:
            with pytest.raises(BenchError, match="does not come to rest"):
                Server(busy, Job("handshake", "127.0.0.1", 1, "")).settled_cpu_s()
        finally:
            busy.kill()


def test_a_soak_judges_what_it_saw() -> None:
    memory = (
        "GC: total: 90, used: {}, free: 9\n No. of 1-blocks: 1, max blk sz: 2, max free sz: 3\n"
    )
    life = soak.Life(counts={"a": {1, 2, 3}, "b": {1}}, messages=5)
    life.hear("       5 ms  id     x\n  9 ms  hub    connected to localhost\n")
    life.hear("  8 ms  hub    connec")
    life.hear("ted to localhost\n" + "".join(memory.format(size) for size in (700,) * 9 + (900,)))
    assert (life.given, life.lost, life.boots, life.renewals) == (4, 0, 1, 1)
    assert life.free == [96] * 10
    assert exit_code(soak.judged(life, is_quick=False)) == 0
    life.hear("1 ms  serve  failed: OSError [Errno 12] ENOMEM; next in 5 s\n")
    life.hear("  9 ms  hub    connected to localhost\n")
    assert (life.renewals, life.failures, life.without_memory) == (1, 1, 1)
    life.hear(memory.format(2000) * 5 + "1 ms  fault  this is a bug\n")
    life.counts["b"] |= {3}
    missed = [target.what for target in soak.judged(life, is_quick=False) if not target.is_met]
    assert len(missed) == 4
    assert all(target.is_met is None for target in soak.judged(life, is_quick=True))
