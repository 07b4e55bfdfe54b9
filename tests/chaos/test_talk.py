"""What a hub and a board ask of each other, disturbed at each step: then all of it works."""

import threading
from collections.abc import Callable
from concurrent.futures import CancelledError
from contextlib import suppress

import pytest

from firstlight.errors import ServiceError
from tests.chaos.field import Field
from tests.chaos.test_points import strike_all


def aside(ask: Callable[[], object]) -> None:
    """Ask for something that may be answered late, or never."""

    def run() -> None:
        with suppress(ServiceError, TimeoutError, CancelledError):
            ask()

    threading.Thread(target=run, daemon=True).start()


def message(field: Field) -> None:
    field.device.send("a word")


def method(field: Field) -> None:
    aside(lambda: field.device.call_method("echo", 1, 5))


def desired(field: Field) -> None:
    field.want(f"a wish {next(field.words)}")


_STEPS = {
    "subscribe": Field.kick,
    "suback": Field.kick,
    "twin-get": Field.kick,
    "twin-get-answer": Field.kick,
    "c2d": message,
    "device-puback": message,
    "method": method,
    "method-answer": method,
    "desired": desired,
    "twin-report": desired,
    "twin-report-answer": desired,
}


@pytest.mark.parametrize("point", _STEPS)
def test_while_a_hub_and_a_board_talk(point: str, field: Field) -> None:
    strike_all(field, point, _STEPS[point], "part=hub", then=Field.listens)


def test_a_method_of_the_firmware_leads_to_dps_and_back(field: Field) -> None:
    status, _ = field.device.call_method("firstlight*reprovision", connect_timeout_s=30)
    assert status == 202
    field.until("assigned to localhost")
    field.recovers()
    field.listens()
    field.is_sound()
