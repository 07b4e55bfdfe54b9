"""What the record has of one unit, and what is added to it, while the unit is ours to tell of.

Never writes over what another seat or station told of the same chip since.
"""

from ..errors import BoardError, ToolError, UsageError
from ..record.chain import Entry
from ..record.record import Record
from .seats import short


class Taken(BoardError):
    """The chip is at work at another seat, or at another station."""


class Story:
    """One unit's entries. chip, name: "" as long as they are not known."""

    def __init__(self, record: Record, seat: str) -> None:
        self.chip = self.name = ""
        self._record, self._seat = record, short(seat)
        self._newest = 0  # the number of the last entry of its chip that it knows

    def so_far(self) -> list[Entry]:
        """The chip's entries, oldest first."""
        found = self._record.history(self.chip)
        self._newest = found[-1].number if found else 0
        return found

    def note(self, stage: str, outcome: str, **facts: str) -> None:
        """Add an entry. Raise Taken if the unit is another's by now, ToolError for the record."""
        self._check_ours()
        try:
            entry = self._record.append(
                stage=stage,
                outcome=outcome,
                seat=self._seat,
                chip_id=self.chip,
                registration_id=self.name,
                facts=facts,
            )
        except UsageError as error:  # ours, not the unit's
            raise ToolError(f"the record does not take the entry: {error}") from None
        self._newest = entry.number

    def _check_ours(self) -> None:
        """Raise Taken if somebody else wrote of this chip since: it is theirs, then.

        As when it was pulled out and is at work elsewhere; or when two chips have one id.
        """
        found = self._record.history(self.chip) if self.chip else []
        if found and found[-1].number > self._newest:
            there = f"{found[-1].seat} of {found[-1].station}"
            raise Taken(f"chip {self.chip} is at work at {there}")
