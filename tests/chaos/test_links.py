"""A link that fails in every way, at any packet of every conversation: the board is back.

The proxy sees TLS records alone, so the steps are numbers here: 0 is the handshake, 1 the first
packet, and so on, until one comes that the conversation has not. Of each way every third one is
tried, each end at some; and a link that fails for a while does it while one of three things goes
on. FIRSTLIGHT_CHAOS=all tries all at all.
"""

from collections.abc import Callable

import pytest

from tests.chaos.field import Field
from tests.chaos.proxy import ENDS, Proxy, Strike
from tests.chaos.test_points import ALL

_EACH = [(end,) for end in ENDS]
_MOST = 9  # packets of one conversation, each way
_PART = 11  # bytes of a record: its head, and a little of what it is for


def sweep(
    field: Field, ends: tuple[str, ...], provoke: Callable[[Field], None], connection: int
) -> int:
    """Let every record of a connection be the last one; return how many there were."""
    count = 0
    for way in ("up", "down"):
        for record in range(way == "down", _MOST, 1 if ALL else 3):
            part = _PART if record % 2 else 0
            strike = Strike(way, record, ends[count % len(ends)], part, connection)
            field.proxy.strike(strike)
            provoke(field)
            field.recovers()
            field.peace()
            if not strike.has_struck:
                break
            count += 1
    return count


@pytest.mark.parametrize("ends", _EACH if ALL else [ENDS], ids=" ".join)
def test_at_any_packet_of_a_hubs_conversation(ends: tuple[str, ...], field: Field) -> None:
    assert sweep(field, ends, Field.kick, 0) >= 2 * 2
    field.is_sound()


@pytest.mark.parametrize("ends", _EACH if ALL else [ENDS], ids=" ".join)
def test_at_any_packet_of_a_registration(ends: tuple[str, ...], field: Field) -> None:
    # 0 is the hub, which refuses the board once.
    assert sweep(field, ends, Field.reprovision, 1) >= 2 * 2
    field.is_sound()


def slow(proxy: Proxy) -> None:
    proxy.up.rate = proxy.down.rate = 100_000
    proxy.down.delay_s = 0.005


def bytewise(proxy: Proxy) -> None:
    proxy.up.size = proxy.down.size = 1


@pytest.mark.parametrize("how", [slow, bytewise])
def test_a_link_that_is_only_slow_is_borne(how: Callable[[Proxy], None], field: Field) -> None:
    how(field.proxy)
    field.recovers()
    field.reprovision()
    field.recovers()
    field.is_sound()


def crawls(proxy: Proxy) -> None:
    proxy.up.rate = proxy.down.rate = 200


def deaf(proxy: Proxy) -> None:
    proxy.up.is_hole = True


def dumb(proxy: Proxy) -> None:
    proxy.down.is_hole = True


def stuck(proxy: Proxy) -> None:
    proxy.up.is_stuck = proxy.down.is_stuck = True


def silent(proxy: Proxy) -> None:
    proxy.accepts = False
    proxy.cut("hole")


def late(proxy: Proxy) -> None:
    proxy.down.delay_s = 0.6  # longer than a board in fast time waits


def gone(proxy: Proxy) -> None:
    proxy.refuse()
    proxy.cut("half-open")


def serve(_: Field) -> None:
    """Leave the board at what it does."""


_HOWS: list[Callable[[Proxy], None]] = [crawls, deaf, dumb, stuck, silent, late, gone]
_DURING = (Field.reprovision, Field.kick, serve)


@pytest.mark.parametrize("how", _HOWS)
def test_a_link_that_fails_for_a_while_is_taken_up_again(
    how: Callable[[Proxy], None], field: Field
) -> None:
    for provoke in _DURING if ALL else [_DURING[_HOWS.index(how) % len(_DURING)]]:
        how(field.proxy)
        provoke(field)
        for _ in range(2):
            field.fails()
        if how is gone:
            field.proxy.refuse(False)
        field.peace()
        field.recovers()
    field.is_sound()
