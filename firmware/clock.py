"""The board's clock is set: by SNTP, else by HTTPS; else what it shows will do, if it can be.

Loaded for that, and let go. Never goes on with a time that cannot be: no token is signed and no
certificate judged by it. A single server is believed for a step of at most a day, once the clock
has been set: a second must confirm a longer one, unless it was HTTPS, which is verified, or no
other answers.
"""

from aziot._const import const
from aziot.errors import AziotError, ProtocolError
from device import let_go

TYPE_CHECKING = const(0)
if TYPE_CHECKING:
    from device import Device

_STEP_S = const(86400)  # a step that one server is believed for
_AGREE_S = const(300)  # what two that agree may differ by


def run(device: "Device") -> int:
    """Set the clock; return by how many seconds it moved, 0 if nobody answered.

    Raises ProtocolError, which names each source, if there is no plausible time.
    """
    board = device.board
    known = __import__("dates").plausible(board.unix_time())
    sources = device.me["ntp"] + [""]  # HTTPS is the one without a name
    if known:  # the first may be what is wrong: begin with another, often if something is amiss
        first = board.entropy(1)[0] % (len(sources) if device.error else 16)
        sources = sources[first:] + sources[:first]
    told = ""
    moves: dict[int, str] = {}  # what was said and is not believed yet, and by whom
    for source in sources:
        try:
            move: int = device.call("sntp" if source else "webtime", "ask", device, source)
            move -= board.unix_time()
        except (OSError, AziotError, MemoryError) as e:
            told += "; %s: %s" % (source or "HTTPS", e)
            continue
        finally:
            let_go("dates", "aziot.opening")
        small = abs(move) <= _STEP_S and not moves
        if small or not known or not source or [m for m in moves if abs(m - move) <= _AGREE_S]:
            break
        told += "; %s: off by %d s" % (source, -move)
        moves[move] = source
    else:
        if not known:
            raise ProtocolError("no time" + told)
        if len(moves) != 1:
            device.say("clock", "kept" + told)
            return 0
        move, source = moves.popitem()
    board.set_unix_time(board.unix_time() + move)
    device.say("clock", "set by %s, was off by %d s" % (source or "HTTPS", -move))
    return abs(move)
