"""From a bare board to telemetry in a hub, and what the console says when it does not get there.

The firmware runs on real MicroPython, against the local Azure, over verified TLS.
"""

import base64
import json
import re
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from firstlight import demo, keys
from firstlight.cli.demo import demo as demo_verb
from firstlight.demo import play
from firstlight.emulator.hub.telemetry import Message
from firstlight.emulator.running import RunningAzure, running_azure
from firstlight.emulator.settings import Settings
from firstlight.errors import ToolError, UsageError
from firstlight.repl import Repl
from firstlight.virtual import VirtualBoard, make
from tests.e2e.bench import NAME, Bench

WRONG_KEY = base64.b64encode(b"another key, which is not enrolled").decode()
WAIT_S = 20.0


def until(bench: Bench, text: str) -> str:
    """What the console said, up to text."""
    return bench.board.read_console_until(text, WAIT_S).decode()


def counts(messages: list[Message]) -> list[int]:
    return [json.loads(message.body)["count"] for message in messages]


def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """A demo for nobody to watch."""
    monkeypatch.setattr(demo, "APP", demo.APP.replace("INTERVAL_S = 1", "INTERVAL_S = 0.2"))
    at_once = Settings(mqtt_port=0, https_port=0, retry_after_s=0, polls_before_assigned=0)
    monkeypatch.setattr(demo, "_SETTINGS", at_once)
    monkeypatch.setattr(demo, "make", quick)


def quick(folder: Path, **more: Any) -> VirtualBoard:
    """A board whose waits are a tenth as long."""
    board = make(folder, **more)
    path = folder / "virtual.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"speed": 10}))
    return board


def test_the_demo_plays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hurry(monkeypatch)
    told: list[tuple[str, str]] = []
    story = play(tmp_path, lambda who, text: told.append((who, text)))
    assert len(story.received) >= 5
    assert any("assigned to localhost" in line for line in story.first_boot)
    assert any("connected to localhost" in line for line in story.second_boot)
    assert not any("dps" in line for line in story.second_boot)


def test_the_demo_plays_by_certificate_and_the_next_one_is_issued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hurry(monkeypatch)
    told: list[str] = []
    story = play(tmp_path, lambda who, text: told.append(f"{who}: {text}"), "x509")
    assert len(story.received) >= 8
    assert any("assigned to localhost" in line for line in story.first_boot)
    assert not any("dps" in line for line in story.second_boot)
    steps = (
        "ca: made a root",
        "dps: the root is verified",
        "host: the board shook hands over TLS",
        "connected to localhost with a certificate of",
        "you: give it a certificate that lay on a shelf",
        "dps: issued it the next one",
    )
    places = [next(at for at, line in enumerate(told) if step in line) for step in steps]
    assert places == sorted(places)
    assert not list((tmp_path / "ca").rglob("*.pass"))
    for path in (tmp_path / "ca").glob("*.key"):
        assert b"ENCRYPTED" in path.read_bytes()


def test_the_demo_of_a_line_is_by_keys() -> None:
    refused = CliRunner().invoke(demo_verb, ["--line", "--attestation", "x509"])
    assert isinstance(refused.exception, UsageError)


def test_a_demo_that_fails_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = "INTERVAL_S = 1\ndef sample():\n    raise ZeroDivisionError('sensor')\n"
    monkeypatch.setattr(demo, "APP", broken)
    monkeypatch.setattr(demo, "_TELEMETRY_S", 4.0)
    with pytest.raises(ToolError, match=r"no telemetry within 4 s; .*app\.sample failed"):
        play(tmp_path, lambda who, text: None)


def test_dps_may_refuse_in_connack(tmp_path: Path) -> None:
    settings = Settings(mqtt_port=0, https_port=0, auth_at="connect", folder=tmp_path / "azure")
    with running_azure(settings) as azure:
        bench = Bench(tmp_path / "board", azure)
        bench.group_key()
        bench.give(bench.document(WRONG_KEY))
        with bench.board:
            assert "CONNACK refused, code 5; next in " in until(bench, "; next in ")


def test_telemetry_is_json_that_says_so(bench: Bench) -> None:
    bench.inject(bench.document(bench.group_key()[1]))
    with bench.board:
        first = bench.azure.wait_for_telemetry(1, NAME, WAIT_S)[0]
    assert json.loads(first.body)["count"] == 1
    told = dict(first.system_properties)
    assert re.fullmatch(r"[0-9a-f]{8}-1", told.pop("message-id"))
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", told.pop("creation-time-utc"))
    assert told == {"content-type": "application/json", "content-encoding": "utf-8"}


def test_each_step_is_told_in_a_line(bench: Bench) -> None:
    bench.give(bench.document(bench.group_key()[1]))
    with bench.board:
        said = until(bench, "acknowledged 1")
    steps = ["id ", "wifi ", "clock ", "dps ", "hub "]
    places = [said.index(f" ms  {step}") for step in steps]
    assert places == sorted(places)


def test_an_individual_enrollment_with_a_device_id_of_its_own(bench: Bench) -> None:
    enrolled = bench.azure.enroll_device(NAME, {"deviceId": "Pump:7"})
    assert enrolled.keys is not None
    bench.give(bench.document(enrolled.keys.primary_b64))
    with bench.board:
        assert bench.azure.wait_for_telemetry(1, "Pump:7", WAIT_S)
        assert "assigned to localhost as Pump:7" in until(bench, "hub")


def test_a_wrong_key_is_told_with_code_and_tracking_id(bench: Bench) -> None:
    bench.group_key()
    bench.give(bench.document(WRONG_KEY))
    with bench.board:
        said = until(bench, "; next in ")
    assert "401 DPS: " in said
    assert "code 401000, tracking id " in said
    assert WRONG_KEY not in said


def test_the_secondary_key_helps_where_the_primary_is_refused(bench: Bench) -> None:
    group, _ = bench.group_key()
    assert group.keys is not None
    pair = {"primary": WRONG_KEY, "secondary": keys.derive(group.keys.secondary_b64, NAME)}
    bench.give(bench.document("", symmetric_key=pair))
    with bench.board:
        assert bench.azure.wait_for_telemetry(1, NAME, WAIT_S)
        assert "next in 0 s" in until(bench, "assigned to")


def test_a_disabled_device_is_told_so(bench: Bench) -> None:
    enrolled = bench.azure.enroll_device(NAME, {"provisioningStatus": "disabled"})
    assert enrolled.keys is not None
    bench.give(bench.document(enrolled.keys.primary_b64))
    with bench.board:
        assert "disabled" in until(bench, "; next in ")


def test_a_device_that_its_hub_forgot_goes_back_to_dps_at_once(bench: Bench) -> None:
    bench.give(bench.document(bench.group_key()[1]))
    with bench.board:
        bench.azure.wait_for_telemetry(1, NAME, WAIT_S)
    bench.azure.call(lambda local: local.hubs["localhost"].remove_device(NAME))
    before = len(bench.azure.telemetry(NAME))
    with bench.board:
        said = until(bench, "assigned to localhost")
        assert bench.azure.wait_for_telemetry(before + 1, NAME, WAIT_S)
    assert said.index("CONNACK refused, code 5; next in 0 s") < said.index("dps ")


def test_a_full_flash_does_not_keep_a_board_from_its_hub(bench: Bench) -> None:
    bench.give(bench.document(bench.group_key()[1]))
    with bench.board, Repl(bench.board.port or "") as repl:
        repl.write_file(
            "/nvsstore.py", b"def load(name): pass\ndef save(name, raw): raise OSError(28)\n"
        )
        repl.remove("/nvsstore.mpy")
    with bench.board:
        assert bench.azure.wait_for_telemetry(1, NAME, WAIT_S)
        assert "the assignment is not kept" in until(bench, "connected to")


@pytest.mark.parametrize(
    "app", [b"INTERVAL_S = 1\nthis is no Python\n", b"INTERVAL_S = 'soon'\ndef sample(): pass\n"]
)
def test_an_app_that_does_not_load_is_told_and_the_hub_is_kept(app: bytes, bench: Bench) -> None:
    bench.give(bench.document(bench.group_key()[1]), app)
    with bench.board:
        said = until(bench, "app.sample failed")
    assert "app.py cannot be used: " in said
    assert "connected to localhost" in said
    assert "fault" not in said


def test_an_interval_may_be_a_fraction_and_a_sample_may_try_to_exit(bench: Bench) -> None:
    app = b"import sys\nINTERVAL_S = 0.2\ndef sample(): sys.exit()\n"
    bench.give(bench.document(bench.group_key()[1]), app)
    with bench.board:
        until(bench, "app.sample failed")
        assert "fault" not in until(bench, "app.sample failed")


def test_a_lost_connection_is_made_again_and_nothing_acknowledged_is_lost(bench: Bench) -> None:
    bench.give(bench.document(bench.group_key()[1]))
    with bench.board:
        bench.azure.wait_for_telemetry(2, NAME, WAIT_S)
        bench.azure.call(lambda local: local.hubs["localhost"].kick(NAME))
        until(bench, "failed: ")
        received = bench.azure.wait_for_telemetry(5, NAME, WAIT_S)
    assert sorted(set(counts(received))) == list(range(1, max(counts(received)) + 1))


def test_a_board_without_an_identity_waits_at_its_repl(bench: Bench) -> None:
    bench.give(bench.document(WRONG_KEY))
    with bench.board, Repl(bench.board.port or "") as repl:
        repl.remove("/identity.json")
    with bench.board:
        assert "firstlight inject" in until(bench, ">>> ")


def test_a_flash_that_does_not_read_ends_in_a_reset_not_at_the_repl(bench: Bench) -> None:
    bench.give(bench.document(WRONG_KEY))
    with bench.board, Repl(bench.board.port or "") as repl:
        repl.exec("import os\nfor n in os.listdir('/roots'): os.remove('/roots/' + n)")
        repl.exec("os.rmdir('/roots')")
    with bench.board:
        said = until(bench, "reset in ")
    assert "no identity" not in said


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff\xfe", b'{"version": 2}', b"[]"])
def test_a_torn_or_foreign_identity_is_none(raw: bytes, bench: Bench) -> None:
    bench.give(bench.document(WRONG_KEY))
    with bench.board, Repl(bench.board.port or "") as repl:
        repl.write_file("/identity.json", raw)
    with bench.board:
        said = until(bench, ">>> ")
    assert "no identity" in said
    assert "Traceback" not in said


def test_no_dps_is_told_and_tried_again(bench: Bench) -> None:
    bench.give(bench.document(WRONG_KEY, port=1))
    with bench.board:
        assert "ECONNREFUSED" in until(bench, "; next in ")
        until(bench, "; next in ")


def test_a_server_of_another_root_is_not_trusted(bench: Bench, tmp_path: Path) -> None:
    other = Settings(mqtt_port=0, https_port=0, folder=tmp_path / "other")
    with running_azure(other) as stranger:
        bench.give(bench.document(WRONG_KEY, port=stranger.mqtt_port))
        with bench.board:
            assert "TLS: " in until(bench, "; next in ")
        assert not [event for event in stranger.log if event["part"] == "dps"]


def test_a_new_identity_forgets_the_old_ones_hub(
    bench: Bench, azure: RunningAzure, tmp_path: Path
) -> None:
    device_key = bench.group_key()[1]
    bench.give(bench.document(device_key))
    with bench.board:
        azure.wait_for_telemetry(1, NAME, WAIT_S)
    bench.inject(bench.document(device_key, id_scope="0ne0BADBEEF"))
    with bench.board:
        said = until(bench, "; next in ")
    assert "dps " in said
    assert "connected to localhost" not in said


def test_a_sample_that_fails_does_not_take_the_board_down(bench: Bench) -> None:
    app = b"""
INTERVAL_S = 1
tries = 0
def sample():
    global tries
    tries += 1
    if tries < 3:
        raise ZeroDivisionError("sensor")
    return {"count": tries}
"""
    bench.give(bench.document(bench.group_key()[1]), app)
    with bench.board:
        assert counts(bench.azure.wait_for_telemetry(1, NAME, WAIT_S)) == [3]
        assert "app.sample failed: ZeroDivisionError" in until(bench, "acknowledged")


def test_records_on_littlefs_read_back_on_a_board_without_nvs(bench: Bench) -> None:
    bench.give(bench.document(WRONG_KEY))
    with bench.board, Repl(bench.board.port or "") as repl:
        repl.exec("from filestore import save; save('assignment', b'1'); save('assignment', b'2')")
    with bench.board, Repl(bench.board.port or "") as repl:
        repl.exec("from filestore import load")
        assert repl.exec("print(load('assignment'), load('nothing'))").strip() == b"b'2' None"
        assert b".new" not in repl.exec("import os; print(os.listdir('/'))")
