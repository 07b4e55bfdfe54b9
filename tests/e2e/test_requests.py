"""What is asked of a board itself, and what its app.py does to it: neither takes it down."""

import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from firstlight.emulator.azure import LocalAzure
from firstlight.emulator.hub.registry import twin_document
from firstlight.emulator.running import RunningAzure, running_azure
from firstlight.emulator.settings import Settings
from tests.board.signing import bundle, modulus_b64, roots_key
from tests.e2e.bench import NAME, Bench

WAIT_S = 20.0
SPEED = 300
PLAIN = b"""
INTERVAL_S = 60
def sample():
    return {}
def on_method(name, payload):
    return payload
"""
WRONG = b"""
import sys
INTERVAL_S = 60
OUTBOX = 2
count = 0
loop = []
loop.append(loop)
class Mute(Exception):
    def __repr__(self):
        raise self
    __str__ = __repr__
def start(hub):
    global send
    send = hub.send
    try:
        hub.report({"loop": loop})
    except RuntimeError:
        hub.report({"firstlight": 5})
def sample():
    global count
    count += 1
    for _ in range(3):
        send({"count": count})
    if count == 1:
        return loop
    if count == 2:
        sys.exit()
    if count == 3:
        raise ValueError(loop)
    if count == 4:
        raise Mute
    return {"count": count}
def on_method(name, payload):
    return loop if name == "loop" else payload
def on_desired(patch, whole):
    return {"loop": loop}
"""


@pytest.fixture
def azure(tmp_path: Path) -> Iterator[RunningAzure]:
    settings = Settings(
        mqtt_port=0,
        https_port=0,
        retry_after_s=1,
        folder=tmp_path / "azure",
        polls_per_10_s=None,  # by our clock; the board's is faster
        registrations_per_minute=None,
    )
    with running_azure(settings) as running:
        yield running


def started(bench: Bench, app: bytes = PLAIN, speed: int = SPEED, **changes: Any) -> Bench:
    """The board with that app.py, once it has said something to its hub."""
    bench.give(bench.document(bench.group_key()[1], **changes), app)
    bench.tune(speed=speed)
    bench.board.power_on()
    says(bench, "connected to localhost")
    return bench


def says(bench: Bench, text: str) -> str:
    """What the board said up to text, since the last time."""
    return bench.board.read_console_until(text, WAIT_S).decode()


def desire(bench: Bench, wanted: dict[str, Any]) -> None:
    patch = {"properties": {"desired": {"firstlight": wanted}}}
    bench.azure.device(NAME).patch_twin(patch)


def reported(bench: Bench, name: str, value: object) -> bool:
    """Whether the board reports that property of its component, in the end."""

    def look(local: LocalAzure) -> bool:
        device = local.hubs["localhost"].registry.get(NAME)
        assert device is not None
        found = twin_document(device)["properties"]["reported"].get("firstlight") or {}
        return bool(found.get(name) == value)

    return bench.azure.wait_for(look, WAIT_S)


def test_whatever_app_py_does_the_board_keeps_its_hub_and_is_not_reset(bench: Bench) -> None:
    started(bench, WRONG)
    assert "app.start failed: ValueError('not reported'" in bench.board.console.decode()
    desire(bench, {"other": 1})
    device = bench.azure.device(NAME)
    assert device.call_method("loop", 1, connect_timeout_s=10)[0] == 500
    assert device.call_method("echo", [1, {"two": 3}]) == (200, [1, {"two": 3}])
    assert reported(bench, "dropped", 6)
    bench.azure.wait_for(lambda local: b'"count": 5' in local.messages.select()[-1].body, WAIT_S)
    said = bench.board.console.decode()
    assert "not sent: RuntimeError" in said
    assert "app.sample failed: SystemExit(" in said
    assert "app.sample failed: ValueError\n" in said
    assert "app.sample failed: Mute\n" in said
    assert "desired properties failed: RuntimeError" in said
    assert "this is a bug" not in said
    assert said.count("ms  id ") == 1


@pytest.mark.parametrize(
    ("app", "why"),
    [
        (b"INTERVAL_S = = 5", "SyntaxError("),
        (b"INTERVAL_S = 60", "AttributeError("),
        (PLAIN.replace(b"60", b"'soon'"), "ValueError("),
        (PLAIN + b"import sys\nsys.exit()", "SystemExit("),
    ],
    ids=["no Python", "no sample", "no number", "it ends"],
)
def test_what_is_wrong_with_an_app_py_is_said_again_and_again(
    app: bytes, why: str, bench: Bench
) -> None:
    started(bench, app)
    for _ in range(3):
        assert says(bench, f"app.sample failed: {why}")


def test_app_py_has_its_turn_each_second_while_the_hub_is_away(bench: Bench) -> None:
    ticking = b"import time\ndef tick():\n    print('tick', time.ticks_ms())\n"
    started(bench, PLAIN + ticking)
    bench.azure.add_fault("connect close part=hub")
    bench.azure.device(NAME).kick()
    says(bench, "failed: ")
    for _ in range(3):
        said = says(bench, "ms  wifi ")
        waited = [line for line in said.splitlines() if line.startswith("tick ")]
        assert len(waited) >= 4


def test_a_reprovision_that_dps_refused_is_asked_for_again_with_the_next_token(
    bench: Bench,
) -> None:
    started(bench, speed=20_000)
    bench.azure.add_fault("register refuse status=404 code=404201 times=1")
    desire(bench, {"reprovision": "now"})
    assert "connected to" in says(bench, "failed: 404") + says(bench, "connected to localhost")
    assert "failed: " not in says(bench, "assigned to")
    assert reported(bench, "reprovision", "now")


def test_new_roots_do_not_make_a_board_forget_that_it_is_to_register_anew(bench: Bench) -> None:
    started(bench, roots_key=modulus_b64(roots_key()))
    root = ssl.PEM_cert_to_DER_cert(bench.azure.root_pem.read_text())
    desire(bench, {"reprovision": "now", "roots": bundle(2, root)})
    says(bench, "registering")
    assert reported(bench, "reprovision", "now")


@pytest.mark.parametrize("heap_kb", [50, 54])
def test_a_board_without_memory_to_register_beside_app_py_registers_without_it(
    heap_kb: int, bench: Bench
) -> None:
    started(bench).board.power_off()
    bench.set_heap(heap_kb * 1024)
    with bench.board:
        says(bench, "acknowledged 1")
        bench.azure.add_fault("connect refuse code=5 part=hub times=1")
        bench.azure.device(NAME).kick()
        says(bench, "CONNACK refused")
        says(bench, "assigned to")
        says(bench, "acknowledged 1")
