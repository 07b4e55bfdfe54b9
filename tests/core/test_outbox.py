"""outbox.py: nothing that it took is lost, in memory or over a power cut, but the oldest."""

from aziot import record
from outbox import Outbox
from tests.core.expect import raises


class PowerCut(Exception):
    """Not an OSError: nobody is there any more to catch it."""


class Flash:
    """A store that outlives boards; the power goes before or after the nth call that writes."""

    def __init__(self):
        self.records = {}
        self.error = None
        self.cut_at = 0
        self.is_done_first = False
        self.writes = 0

    def load(self, name):
        return self.records.get(name)

    def save(self, name, raw):
        assert len(name) <= 15
        assert isinstance(raw, bytes)
        assert len(raw) <= 1024
        self._write(lambda: self.records.update({name: raw}))

    def erase(self, name):
        self._write(lambda: self.records.pop(name, None))

    def _write(self, do):
        self.writes += 1
        if self.error:
            raise self.error
        if self.writes == self.cut_at:
            if self.is_done_first:
                do()
            raise PowerCut
        do()


def drained(outbox):
    """What is in it, oldest first."""
    found = []
    while len(outbox):
        found.append(outbox.head())
        outbox.pop(outbox.head())
    return found


def bodies(outbox):
    return [message[2] for message in drained(outbox)]


def filled(outbox, count):
    for i in range(count):
        outbox.put(b"%d" % i)
    return outbox


def test_messages_come_out_in_their_order():
    outbox = filled(Outbox("a", 9), 4)
    assert len(outbox) == 4
    assert bodies(outbox) == [b"0", b"1", b"2", b"3"]
    assert outbox.head() is None
    assert outbox.dropped == 0


def test_each_has_an_id_of_its_own_behind_its_properties():
    outbox = Outbox("7f3a", 9)
    outbox.put(b"x", [("site", "north & south"), ("n", 2)])
    outbox.put(b"y")
    bags = [message[1] for message in drained(outbox)]
    assert bags == ["site=north%20%26%20south&n=2&%24.mid=7f3a-1", "%24.mid=7f3a-2"]


def test_ids_go_on_after_messages_are_gone():
    outbox = Outbox("a", 2)
    drained(filled(outbox, 3))
    outbox.put(b"x")
    assert outbox.head()[1] == "%24.mid=a-4"


def test_too_many_drop_the_oldest_and_count_it():
    outbox = filled(Outbox("a", 3), 5)
    assert outbox.dropped == 2
    assert bodies(outbox) == [b"2", b"3", b"4"]


def test_too_many_bytes_drop_the_oldest_and_count_it():
    outbox = Outbox("a", 99)
    for _ in range(9):
        outbox.put(bytes(1000))
    assert (len(outbox), outbox.dropped) == (8, 1)
    outbox.put(bytes(4000), [("p", "v" * 1000)])
    assert (len(outbox), outbox.dropped) == (4, 6)
    outbox.put(bytes(8000))
    assert (len(outbox), outbox.dropped) == (1, 10)


def test_a_message_that_alone_is_too_long_is_refused_and_drops_nothing():
    outbox = filled(Outbox("a", 3), 3)
    raises(ValueError, outbox.put, bytes(8193))
    raises(ValueError, outbox.put, b"", [("p", "v" * 8193)])
    assert outbox.dropped == 0
    assert bodies(outbox) == [b"0", b"1", b"2"]


def test_what_fits_exactly_is_taken():
    room = 8192 - len("%24.mid=a-1")
    outbox = Outbox("a", 3)
    raises(ValueError, outbox.put, bytes(room + 1))
    outbox.put(bytes(room))
    assert (len(outbox), outbox.dropped) == (1, 0)
    for more in (0, 1):
        outbox = Outbox("a", 3)
        outbox.put(bytes(4000))
        outbox.put(bytes(room - 4000 - len("%24.mid=a-1") + more))
        assert (len(outbox), outbox.dropped) == (2 - more, more)


def test_an_acknowledgement_that_comes_too_late_takes_no_other_message():
    outbox = filled(Outbox("a", 2), 2)
    in_flight = outbox.head()
    outbox.put(b"2")
    assert outbox.dropped == 1
    outbox.pop(in_flight)
    assert bodies(outbox) == [b"1", b"2"]
    outbox.pop(in_flight)


def test_without_a_store_nothing_is_saved_until_it_is_spilled():
    flash = Flash()
    outbox = filled(Outbox("a", 4), 3)
    outbox.pop(outbox.head())
    assert flash.writes == 0
    outbox.spill(flash)
    outbox.spill(flash)
    assert flash.writes == 2
    outbox.pop(outbox.head())
    assert bodies(Outbox("b", 4, flash)) == [b"2"]
    assert flash.records == {}


def test_a_store_is_written_to_by_spill_alone_if_that_is_wished():
    flash = Flash()
    filled(Outbox("a", 4, flash), 2)
    outbox = Outbox("b", 4, flash)
    outbox.saves = False
    outbox.put(b"2")
    assert len(flash.records) == 2
    outbox.spill(flash)
    assert bodies(Outbox("c", 4, flash)) == [b"0", b"1", b"2"]


def test_a_reset_keeps_messages_whole_in_order_and_under_their_ids():
    flash = Flash()
    outbox = Outbox("a", 9, flash)
    outbox.put(bytes(range(256)), (("p", "\u00fc \n"),))
    outbox.put(b"\n\n")
    outbox.put(b"")
    again = Outbox("b", 9, flash)
    again.put(b"new")
    found = drained(again)
    assert [message[2] for message in found] == [bytes(range(256)), b"\n\n", b"", b"new"]
    assert found[0][1] == "p=%C3%BC%20%0A&%24.mid=a-1"
    assert [message[1] for message in found[1:]] == [
        "%24.mid=a-2",
        "%24.mid=a-3",
        "%24.mid=b-4",
    ]
    assert flash.records == {}


def test_what_a_reset_left_may_have_been_sent_before():
    flash = Flash()
    filled(Outbox("a", 9, flash), 1)
    again = Outbox("b", 9, flash)
    again.put(b"1")
    assert [message[3] > 0 for message in drained(again)] == [True, False]


def test_the_order_outlives_many_resets_and_slots_that_are_used_again():
    flash = Flash()
    expected = []
    count = 0
    for boot in range(40):
        outbox = Outbox("boot%d" % boot, 5, flash)
        for _ in range(boot % 4):
            outbox.put(b"%d" % count)
            expected.append(b"%d" % count)
            expected = expected[-5:]
            count += 1
        for _ in range(boot % 3):
            if len(outbox):
                outbox.pop(outbox.head())
                expected.pop(0)
        assert [message[2] for message in outbox._queue] == expected


def test_a_record_too_long_for_a_store_is_kept_in_memory():
    flash = Flash()
    outbox = Outbox("a", 4, flash)
    outbox.put(bytes(1024))
    outbox.put(bytes(900))
    assert len(flash.records) == 1
    assert [len(body) for body in bodies(outbox)] == [1024, 900]


def test_a_record_may_be_as_long_as_a_store_takes():
    room = 1024 - len("cccccccc" + "nnnnnnnn" + "%24.mid=a-1" + "\n")
    for size in (room, room + 1):
        flash = Flash()
        Outbox("a", 1, flash).put(bytes(size))
        assert len(flash.records) == (size == room)


def test_a_store_that_fails_costs_no_message():
    flash = Flash()
    outbox = filled(Outbox("a", 3, flash), 2)
    flash.error = OSError(28)
    outbox.put(b"2")
    outbox.put(b"3")
    assert len(outbox) == 3
    flash.error = None
    outbox.put(b"4")
    assert bodies(outbox) == [b"2", b"3", b"4"]


def test_a_message_that_memory_does_not_suffice_to_save_does_not_keep_others_from_it():
    class Narrow(Flash):
        def save(self, name, raw):
            if len(raw) > 500:
                raise MemoryError
            Flash.save(self, name, raw)

    flash = Narrow()
    outbox = Outbox("a", 3)
    for size in (1, 600, 2):
        outbox.put(bytes(size))
    outbox.spill(flash)
    assert bodies(Outbox("b", 3, flash)) == [bytes(1), bytes(2)]
    outbox.saves = True
    outbox.put(bytes(601))
    assert outbox.head()[2] == bytes(600)


def test_no_slot_is_lost_where_memory_does_not_suffice_for_a_message():
    class Full(list):
        def append(self, value):
            raise MemoryError

    outbox = Outbox("a", 2)
    queue, outbox._queue = outbox._queue, Full()
    for _ in range(3):
        raises(MemoryError, outbox.put, b"x")
    outbox._queue = queue
    assert bodies(filled(outbox, 2)) == [b"0", b"1"]
    assert outbox.dropped == 0


def test_torn_and_foreign_records_are_passed_over():
    flash = Flash()
    filled(Outbox("a", 3, flash), 3)
    raw = flash.records["o1"]
    for size in range(len(raw)):
        assert len(Outbox("b", 3, flash)._queue) == (3 if not size else 2)
        flash.records["o1"] = raw[:size]
    for i in range(len(raw)):
        flipped = bytearray(raw)
        flipped[i] ^= 0x10
        flash.records["o1"] = bytes(flipped)
        assert len(Outbox("b", 3, flash)._queue) == 2
    for foreign in (b"", b"\xff" * 64, b"00000000", record.pack({"hub": "h"})):
        flash.records["o1"] = foreign
        assert len(Outbox("b", 3, flash)._queue) == 2


def story(outbox, accepted, acked):
    """A life: messages come and go; both lists are up to date whenever the power goes."""
    for i in range(12):
        body = b"%d" % i
        outbox.put(body)
        accepted.append(body)
        if i % 3 == 2:
            for _ in range(2):
                message = outbox.head()
                acked.append(message[2])
                outbox.pop(message)


def test_a_power_cut_at_any_write_loses_no_accepted_message_and_keeps_their_order():
    whole = Flash()
    story(Outbox("a", 8, whole), [], [])
    for cut_at in range(1, whole.writes + 1):
        for is_done_first in (False, True):
            flash = Flash()
            flash.cut_at, flash.is_done_first = cut_at, is_done_first
            accepted, acked = [], []
            raises(PowerCut, story, Outbox("a", 8, flash), accepted, acked)
            flash.cut_at = 0
            found = bodies(Outbox("b", 8, flash))
            waiting = [body for body in accepted if body not in acked]
            # One may be there whose put() had not returned, one come again whose pop() had not.
            if found and found[-1] not in accepted:
                found.pop()
            if found and found[0] in acked[-1:]:
                found.pop(0)
            assert found == waiting, (cut_at, is_done_first)


def test_a_power_cut_while_the_oldest_is_dropped_loses_no_other():
    for cut_at in range(4, 10):
        for is_done_first in (False, True):
            flash = Flash()
            flash.cut_at, flash.is_done_first = cut_at, is_done_first
            raises(PowerCut, filled, Outbox("a", 3, flash), 9)
            flash.cut_at = 0
            found = [int(body) for body in bodies(Outbox("b", 3, flash))]
            assert found == list(range(found[0], found[0] + len(found)))
            assert len(found) >= 2


def test_half_of_it_gives_way_where_there_is_no_memory_for_all():
    box = Outbox("n", 9)
    for n in range(5):
        box.put(b"%d" % n)
    box.shed()
    assert (len(box), box.dropped, box.head()[2]) == (2, 3, b"3")
    box.shed()
    box.shed()
    assert (len(box), box.dropped) == (0, 5)
