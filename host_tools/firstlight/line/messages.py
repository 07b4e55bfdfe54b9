"""What an operator is told to do next, by what went wrong. Pure.

The cause goes into the record and the summary; the row on the screen says what to do with the
unit in one's hand. README's troubleshooting table explains each of these.
"""

from ..errors import BoardError, ProofError, ServiceError, UsageError

GONE = "pulled out: plug it in again, it goes on where it was"
AGAIN = "unplug it, check the cable, plug it in again"
BOOTSEL = "unplug it, hold BOOTSEL, plug it in again"
ASIDE = "put it aside: it does not hold its key"
NO_HUB = "put it aside: it did not reach its hub"
WRONG = "put it aside: it is not the kind of board that this line makes"
CALL = "stop, and call the engineer: the line itself is in trouble"

_BY_STAGE: dict[str, str] = {"record": CALL, "claim": CALL, "unit": CALL, "label": CALL}
_BY_KIND: tuple[tuple[type[Exception], str], ...] = (
    (ProofError, ASIDE),
    (ServiceError, NO_HUB),
    (UsageError, WRONG),
)


def advice(error: Exception, stage: str, loader: str, present: bool) -> str:
    """Return what to do with a unit that failed with error in a stage.

    loader: how its kind is flashed (boards.Board); present: whether it is plugged in still.
    """
    if isinstance(error, BoardError) and not present:
        return GONE
    if stage in _BY_STAGE:
        return _BY_STAGE[stage]
    for kind, text in _BY_KIND:
        if isinstance(error, kind):
            return text
    if isinstance(error, BoardError):
        return BOOTSEL if loader == "uf2" and stage in ("look", "flash") else AGAIN
    return CALL
