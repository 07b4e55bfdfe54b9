"""What the provisioning service remembers, in memory.

Holds and finds; decides nothing, and never grows beyond DPS's own quotas (protocol.md 2.8).
"""

from collections import OrderedDict
from dataclasses import dataclass

from ..answers import Refusal
from .records import Enrollment, EnrollmentGroup, IndividualEnrollment, Registration

MAX_REGISTRATIONS = 1_000_000
MAX_GROUPS = 100
_MAX_OPERATIONS = 100_000


@dataclass
class Operation:
    """A registration under way. polls_left: how many polls are still answered 202.

    record: what became of it, once it has ended: later polls are told the same.
    """

    id: str
    registration_id: str
    polls_left: int
    record: Registration | None = None


class Shelf:
    """Enrollments of one kind, by id, up to a quota."""

    def __init__(self, kind: type[Enrollment], quota: int) -> None:
        self.kind = kind
        self._quota = quota
        self._items: dict[str, Enrollment] = {}

    def get(self, id: str) -> Enrollment | None:
        return self._items.get(id)

    def put(self, item: Enrollment) -> None:
        """Add or replace; raise Refusal when the quota is full."""
        if item.id not in self._items and len(self._items) >= self._quota:
            raise Refusal(400, 400000, "The quota of enrollments is full.")
        self._items[item.id] = item

    def remove(self, id: str) -> None:
        del self._items[id]

    def all(self) -> list[Enrollment]:
        return list(self._items.values())


class Store:
    """The state of one provisioning service."""

    def __init__(self) -> None:
        self.individuals = Shelf(IndividualEnrollment, MAX_REGISTRATIONS)
        self.groups = Shelf(EnrollmentGroup, MAX_GROUPS)
        self.registrations: dict[str, Registration] = {}
        self._operations: OrderedDict[str, Operation] = OrderedDict()

    def add_operation(self, operation: Operation) -> None:
        """Keep it; the oldest is forgotten when there are too many."""
        self._operations[operation.id] = operation
        if len(self._operations) > _MAX_OPERATIONS:
            self._operations.popitem(last=False)

    def operation(self, id: str) -> Operation | None:
        return self._operations.get(id)

    def put_registration(self, record: Registration) -> None:
        """Add or replace; raise Refusal when the quota is full."""
        known = record.registration_id in self.registrations
        if not known and len(self.registrations) >= MAX_REGISTRATIONS:
            raise Refusal(400, 400000, "The quota of registrations is full.")
        self.registrations[record.registration_id] = record

    def forget_registrations(self, enrollment: Enrollment) -> None:
        """Deleting an enrollment deletes its registration records (not the hub's devices)."""
        if isinstance(enrollment, IndividualEnrollment):
            self.registrations.pop(enrollment.id, None)
            return
        for record in list(self.registrations.values()):
            if record.group_id == enrollment.id:
                del self.registrations[record.registration_id]
