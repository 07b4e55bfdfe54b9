"""What the provisioning service remembers: in memory, and record by record in a journal.

Holds and finds; decides nothing, does no I/O of its own, and never grows beyond DPS's own quotas
(protocol.md 2.8).
"""

from bisect import bisect_right
from collections import Counter, OrderedDict
from collections.abc import Iterator

from cryptography import x509

from .. import chains
from ..answers import Refusal
from ..authorities import DPS, Authorities
from ..journal import Journal, Nowhere
from .attestation import REFERENCE
from .records import (
    Enrollment,
    EnrollmentGroup,
    IndividualEnrollment,
    Operation,
    Registration,
    restored_enrollment,
    restored_operation,
)

MAX_REGISTRATIONS = 1_000_000
MAX_GROUPS = 100
_MAX_OPERATIONS = 100_000


class Ids:
    """A set of ids that can be read in order, from any of them on: for pages."""

    def __init__(self) -> None:
        self._ids: dict[str, None] = {}
        self._ordered: list[str] | None = None

    def add(self, id: str) -> None:
        if id not in self._ids:
            self._ids[id] = None
            self._ordered = None

    def discard(self, id: str) -> None:
        if id in self._ids:
            del self._ids[id]
            self._ordered = None

    def __len__(self) -> int:
        return len(self._ids)

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._ids))

    def after(self, id: str, count: int) -> list[str]:
        """At most `count` of those that come after `id` in the alphabet; "" for the first."""
        if self._ordered is None:
            self._ordered = sorted(self._ids)
        start = bisect_right(self._ordered, id)
        return self._ordered[start : start + count]


class Shelf:
    """Enrollments of one kind, by id, up to a quota for each attestation.

    name: their kind in the journal.
    """

    def __init__(
        self, kind: type[Enrollment], quota: int, name: str = "", journal: Journal | None = None
    ) -> None:
        self.kind = kind
        self.ids = Ids()
        self._quota = quota
        self._name = name
        self._journal = journal or Nowhere()
        self._items: dict[str, Enrollment] = {}
        self._preferred: tuple[Enrollment, ...] | None = None
        self._counts: Counter[str] = Counter()
        self._marked: dict[str, dict[str, None]] = {}
        for id, record in self._journal.load(name):
            self._keep(id, restored_enrollment(kind, record))

    def __len__(self) -> int:
        return len(self._items)

    def count(self, attestation: str) -> int:
        """How many have an attestation of that kind."""
        return self._counts[attestation]

    def get(self, id: str) -> Enrollment | None:
        return self._items.get(id)

    def put(self, item: Enrollment) -> None:
        """Add or replace; raise Refusal when the quota is full."""
        old, kind = self._items.get(item.id), item.attestation.kind
        is_more = old is None or old.attestation.kind != kind
        if is_more and self._counts[kind] >= self._quota:
            raise Refusal(400, 400000, "The quota of enrollments is full.")
        self._journal.put(self._name, item.id, item.record())
        self._keep(item.id, item)
        self._preferred = None

    def remove(self, id: str) -> None:
        """Forget one that is there; raise KeyError."""
        self._leave(self._items[id])
        del self._items[id]
        self._journal.delete(self._name, id)
        self.ids.discard(id)
        self._preferred = None

    def all(self) -> list[Enrollment]:
        return list(self._items.values())

    def preferred(self) -> tuple[Enrollment, ...]:
        """All of them, the enabled ones first: the same key may be in a disabled one too."""
        if self._preferred is None:
            found = sorted(self._items.values(), key=lambda item: not item.enabled)
            self._preferred = tuple(found)
        return self._preferred

    def marked(self, mark: str) -> list[Enrollment]:
        """Those that a certificate is in, the enabled ones first: see Attestation.marks."""
        found = [self._items[id] for id in self._marked.get(mark, ())]
        return sorted(found, key=lambda item: not item.enabled)

    def _keep(self, id: str, item: Enrollment) -> None:
        old = self._items.get(id)
        if old is not None:
            self._leave(old)
        self._items[id] = item
        self.ids.add(id)
        self._counts[item.attestation.kind] += 1
        for mark in item.attestation.marks:
            self._marked.setdefault(mark, {})[id] = None

    def _leave(self, item: Enrollment) -> None:
        """Forget what it is found by, apart from its id."""
        self._counts[item.attestation.kind] -= 1
        for mark in item.attestation.marks:
            del self._marked[mark][item.id]
            if not self._marked[mark]:
                del self._marked[mark]


class Store:
    """The state of one provisioning service, read from the journal when it is made.

    authorities: where its CA certificates are.
    """

    def __init__(
        self, journal: Journal | None = None, authorities: Authorities | None = None
    ) -> None:
        self._journal = journal = journal or Nowhere()
        self.authorities = authorities or Authorities(journal)
        # To write out a record takes longer than to make one: not for a journal that forgets it.
        self._keeps = type(journal) is not Nowhere
        self.individuals = Shelf(IndividualEnrollment, MAX_REGISTRATIONS, "individual", journal)
        self.groups = Shelf(EnrollmentGroup, MAX_GROUPS, "group", journal)
        self.members: dict[str, Ids] = {}
        self._registrations: dict[str, Registration] = {}
        self._operations: OrderedDict[str, Operation] = OrderedDict()
        for id, record in journal.load("registration"):
            self._keep(id, Registration(**record))
        for id, document in journal.load("operation"):
            self._operations[id] = restored_operation(id, document)

    def group_of(self, certificate: x509.Certificate) -> Enrollment | None:
        """The group that was made of a CA's certificate, an enabled one before others."""
        found = [group for mark in self._marks(certificate) for group in self.groups.marked(mark)]
        return min(found, key=lambda group: not group.enabled, default=None)

    def rival_of(self, item: Enrollment) -> Enrollment | None:
        """Another enrollment with a certificate of this one's, if there is one."""
        for mark in item.attestation.marks:
            for one in self._alike(mark):
                for shelf in (self.individuals, self.groups):
                    for other in shelf.marked(one):
                        if other.id != item.id or shelf.kind is not type(item):
                            return other
        return None

    def add_operation(self, operation: Operation) -> None:
        """Keep it; the oldest is forgotten when there are too many."""
        self._operations[operation.id] = operation
        if self._keeps:
            self._journal.put("operation", operation.id, operation.document())
        if len(self._operations) > _MAX_OPERATIONS:
            id, _ = self._operations.popitem(last=False)
            self._journal.delete("operation", id)

    def end_operation(self, operation: Operation, record: Registration) -> None:
        """Keep what became of it."""
        operation.record = record
        operation.payload = None
        if operation.id in self._operations:
            self._journal.put("operation", operation.id, operation.document())

    def remove_operation(self, id: str) -> None:
        """Forget it; raise KeyError."""
        del self._operations[id]
        self._journal.delete("operation", id)

    def operation(self, id: str) -> Operation | None:
        return self._operations.get(id)

    def unfinished(self) -> list[Operation]:
        """Those that wait for a webhook, the oldest first."""
        return [one for one in self._operations.values() if one.record is None]

    def registration(self, id: str) -> Registration | None:
        return self._registrations.get(id)

    def own_registration(self, id: str) -> Registration | None:
        """The one that an individual enrollment made: not one of a group that came before it."""
        record = self._registrations.get(id)
        return record if record is not None and record.group_id is None else None

    def registrations(self) -> list[Registration]:
        return list(self._registrations.values())

    def check_room(self, id: str) -> None:
        """Raise Refusal if there is no record of the id, and no room for one."""
        if id not in self._registrations and len(self._registrations) >= MAX_REGISTRATIONS:
            raise Refusal(400, 400000, "The quota of registrations is full.")

    def put_registration(self, record: Registration) -> None:
        """Add or replace; raise Refusal when the quota is full."""
        id = record.registration_id
        self.check_room(id)
        if self._keeps:
            self._journal.put("registration", id, record.record())
        self._keep(id, record)

    def remove_registration(self, id: str) -> None:
        """Forget a registration record, not the hub's device; no matter if there is none."""
        record = self._registrations.pop(id, None)
        if record is not None:
            self._journal.delete("registration", id)
            self._leave(id, record)

    def forget_registrations(self, enrollment: Enrollment) -> None:
        """Deleting an enrollment deletes its registration records (not the hub's devices)."""
        if isinstance(enrollment, IndividualEnrollment):
            if self.own_registration(enrollment.id) is not None:
                self.remove_registration(enrollment.id)
            return
        for id in self.members.get(enrollment.id, ()):
            self.remove_registration(id)

    def _marks(self, certificate: x509.Certificate) -> list[str]:
        """Everything that a certificate is known by."""
        names = self.authorities.named(DPS, certificate)
        return [chains.thumbprint(certificate), *(REFERENCE + name for name in names)]

    def _alike(self, mark: str) -> list[str]:
        """A mark, and the others of the same certificate if that is a CA's that we know."""
        for known in self.authorities.all(DPS):
            marks = self._marks(known.certificate)
            if mark in marks:
                return marks
        return [mark]

    def _keep(self, id: str, record: Registration) -> None:
        old = self._registrations.get(id)
        if old is not None and old.group_id != record.group_id:
            self._leave(id, old)
        self._registrations[id] = record
        if record.group_id is not None:
            self.members.setdefault(record.group_id, Ids()).add(id)

    def _leave(self, id: str, record: Registration) -> None:
        ids = self.members.get(record.group_id or "")
        if ids is not None:
            ids.discard(id)
            if not ids:
                del self.members[record.group_id or ""]
