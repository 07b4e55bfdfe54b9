"""An operator is told what to do with the unit, by what went wrong and where."""

from firstlight.errors import BoardError, ProofError, ServiceError, ToolError, UsageError
from firstlight.line import messages
from firstlight.line.messages import advice


def test_a_unit_that_is_not_there_any_more_was_pulled_out() -> None:
    assert advice(BoardError("x"), "inject", "esptool", present=False) == messages.GONE


def test_what_to_do_depends_on_what_went_wrong() -> None:
    table = [
        (BoardError("x"), "inject", "uf2", messages.AGAIN),
        (BoardError("x"), "flash", "esptool", messages.AGAIN),
        (BoardError("x"), "flash", "uf2", messages.BOOTSEL),
        (ProofError("x"), "prove", "uf2", messages.ASIDE),
        (ServiceError("x"), "boot", "uf2", messages.NO_HUB),
        (UsageError("x"), "identify", "virtual", messages.WRONG),
        (UsageError("x"), "claim", "virtual", messages.CALL),
        (ToolError("x"), "record", "virtual", messages.CALL),
        (ToolError("x"), "label", "virtual", messages.CALL),
        (ToolError("x"), "inject", "virtual", messages.CALL),
        (ZeroDivisionError(), "inject", "virtual", messages.CALL),
    ]
    for error, stage, loader, text in table:
        assert advice(error, stage, loader, present=True) == text, (error, stage)
