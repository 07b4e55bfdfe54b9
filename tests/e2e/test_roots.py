"""New trust roots for a board in the field: delivered, tried, and kept or dropped by the board.

The firmware runs on real MicroPython, at a local Azure whose certificate moves to another root.
"""

import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trustme
from OpenSSL import SSL

from firstlight.emulator import tls
from firstlight.emulator.azure import LocalAzure
from firstlight.emulator.device import DeviceHandle
from firstlight.emulator.handshake import new_context, new_server
from firstlight.emulator.hub.registry import twin_document
from firstlight.emulator.running import RunningAzure, running_azure
from firstlight.emulator.settings import Settings
from firstlight.roots import azure_roots
from tests.board.signing import bundle, der, modulus_b64, roots_key
from tests.e2e.bench import APP, NAME, Bench
from tests.e2e.flashed import put

WAIT_S = 30.0
NEW = trustme.CA()
METHOD = "firstlight*renewRoots"


@dataclass
class Field:
    """A board in the field, with a roots key, and its Azure.

    show: has its servers show what a context has, from the next connection on.
    """

    bench: Bench
    azure: RunningAzure
    show: Callable[[SSL.Context], None]
    key: str  # the device's

    @property
    def device(self) -> DeviceHandle:
        return self.azure.device(NAME)

    @property
    def old_root(self) -> bytes:
        return ssl.PEM_cert_to_DER_cert(self.azure.root_pem.read_text())

    def move(self, issuer: trustme.CA) -> None:
        """Have every server show a certificate of another root from now on."""
        context = new_context()
        issuer.issue_cert("localhost", "127.0.0.1").configure_cert(context)
        self.show(context)

    def works(self) -> None:
        """Assert that telemetry goes on arriving."""
        count = len(self.azure.telemetry(NAME))
        try:
            self.azure.wait_for_telemetry(count + 2, NAME, WAIT_S)
        except TimeoutError:
            pytest.fail(self.bench.board.console.decode()[-2000:])

    def until(self, text: str) -> str:
        return self.bench.board.read_console_until(text, WAIT_S).decode()

    def reported(self, name: str, value: Any) -> bool:
        """Wait until the board has reported a property of the component so."""
        return bool(self.azure.wait_for(lambda local: said(local).get(name) == value, WAIT_S))

    def desire(self, wanted: dict[str, Any]) -> None:
        section = {"__t": "c", "roots": wanted}
        self.device.patch_twin({"properties": {"desired": {"firstlight": section}}})


def said(local: LocalAzure) -> dict[str, Any]:
    """What the board has reported of itself."""
    device = local.hubs["localhost"].registry.get(NAME)
    if device is None:
        return {}
    found: dict[str, Any] = twin_document(device)["properties"]["reported"]
    return dict(found.get("firstlight") or {})


@pytest.fixture
def field(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Field]:
    shown: list[SSL.Context] = []
    monkeypatch.setattr(tls, "new_server", lambda own: new_server((shown or [own])[-1]))
    settings = Settings(mqtt_port=0, https_port=0, retry_after_s=1, folder=tmp_path / "azure")
    with running_azure(settings) as azure:
        bench = Bench(tmp_path / "board", azure)
        key = bench.group_key()[1]
        bench.give(bench.document(key, roots_key=modulus_b64(roots_key())))
        bench.tune(speed=20)
        with bench.board:
            azure.wait_for_telemetry(1, NAME, WAIT_S)
            yield Field(bench, azure, shown.append, key)


def test_a_desired_property_brings_roots_for_a_hub_that_will_move(field: Field) -> None:
    field.desire(bundle(2, field.old_root, der(NEW)))
    field.until("roots 2 are on trial")
    assert field.reported("roots", {"ac": 200, "ad": "roots 2 are here"})
    field.works()
    field.move(NEW)
    field.device.kick()
    field.works()
    field.bench.board.power_off()
    with field.bench.board:
        field.works()


def test_a_method_brings_roots_to_a_hub_that_moves_at_once(field: Field) -> None:
    wanted = bundle(2, der(NEW))
    assert field.device.call_method(METHOD, wanted, connect_timeout_s=10) == (
        202,
        "roots 2 are on trial",
    )
    field.move(NEW)
    field.device.kick()
    field.works()
    assert field.device.call_method(METHOD, wanted, connect_timeout_s=10) == (
        200,
        "roots 2 are here",
    )


def test_roots_that_do_not_reach_the_hub_are_dropped_and_the_old_ones_come_back(
    field: Field,
) -> None:
    field.desire(bundle(2, der(NEW)))
    for _ in range(3):
        field.until("TLS: ")
        field.works()
        field.device.kick()
    field.works()
    assert field.reported("roots", {"ac": 409, "ad": "roots 2 failed"})
    assert field.device.call_method(METHOD, bundle(2, der(NEW)), connect_timeout_s=10)[0] == 409
    wanted = bundle(3, field.old_root, der(NEW))
    assert field.device.call_method(METHOD, wanted, connect_timeout_s=10)[0] == 202
    field.works()


def test_a_board_that_sleeps_between_its_samples_gets_its_old_roots_back(field: Field) -> None:
    """It is up for longer than it may be awake, and forgets in its sleep whose turn it is."""
    field.bench.board.power_off()
    app = APP.replace(b"INTERVAL_S = 1", b"SLEEP = True\nINTERVAL_S = 150")
    put(field.bench.board.folder / "flash.img", {"/app.py": app})
    field.bench.tune(speed=300)
    with field.bench.board:
        field.works()
        field.desire(bundle(2, der(NEW)))
        assert field.reported("roots", {"ac": 409, "ad": "roots 2 failed"})
        field.works()


def test_roots_on_trial_are_so_after_a_power_cut(field: Field) -> None:
    field.device.call_method(METHOD, bundle(2, der(NEW)))
    field.bench.board.power_off()
    field.move(NEW)
    with field.bench.board:
        field.works()


def test_what_nobody_signed_is_refused_and_changes_nothing(field: Field) -> None:
    forged = bundle(2, der(NEW), key=roots_key(2048, 1))
    assert field.device.call_method(METHOD, forged, connect_timeout_s=10) == (
        403,
        "not signed by the roots key",
    )
    assert field.device.call_method(METHOD, {"version": 2}, connect_timeout_s=10)[0] == 400
    assert field.device.call_method(METHOD, None, connect_timeout_s=10)[0] == 400
    field.desire(forged)
    assert field.reported("roots", {"ac": 403, "ad": "not signed by the roots key"})
    field.works()


def test_azures_roots_fit_into_a_board_with_a_small_heap(field: Field) -> None:
    """Of the unix port, whose objects are twice a board's; 48 KB do for all but such a message."""
    field.bench.board.power_off()
    field.bench.set_heap(80 * 1024)
    with field.bench.board:
        field.works()
        field.desire(bundle(2, *azure_roots().values(), field.old_root))
        field.until("roots 2 are on trial")
        assert field.reported("roots", {"ac": 200, "ad": "roots 2 are here"})
        field.works()
        assert b"MemoryError" not in field.bench.board.console


def test_an_injection_begins_anew_with_the_roots_that_it_brings(field: Field) -> None:
    wanted = bundle(2, field.old_root, der(NEW))
    assert field.device.call_method(METHOD, wanted, connect_timeout_s=10)[0] == 202
    field.works()
    field.bench.board.power_off()
    key = roots_key(2048, 1)
    field.bench.inject(field.bench.document(field.key, roots_key=modulus_b64(key)))
    with field.bench.board:
        field.works()
        assert (
            field.device.call_method(
                METHOD, bundle(1, field.old_root, key=key), connect_timeout_s=10
            )[0]
            == 202
        )
        field.works()
