"""How a packet leaves when faults have a say: the steps, as data.

Pure: a packet's bytes and the faults that strike in, steps out.
"""

from dataclasses import dataclass, replace

from ..answers import Json
from ..faults.faults import Hit, delay_s
from .moments import as_twin_refusal, with_code, with_dup

_MAX_PIECES = 4096
_LEAST_GAP_S = 1e-6


@dataclass(frozen=True)
class Step:
    """Bytes to leave, so long after what went before; end: how the connection ends then.

    hold_s: for how long it is half-open, if `end` is hold.
    """

    data: bytes
    wait_s: float = 0.0
    end: str | None = None
    hold_s: float = 60.0


def leaving(data: bytes, hits: list[Hit]) -> list[Step]:
    """The steps in which a packet leaves. Whatever the faults' order: changed, copied, cut, split.

    The first fault that ends the connection counts.
    """
    by_name = {hit.do: hit.args for hit in reversed(hits)}
    wait_s = delay_s(hits)
    if "drop" in by_name:
        return [Step(b"", wait_s)]
    last = next((hit.args for hit in hits if hit.do in ("close", "hold")), None)
    if last is not None:
        return [Step(b"", wait_s, last.get("end", "hold"), last.get("seconds", 0.0))]
    data = _copied(_changed(data, by_name), by_name)
    end = None
    if "cut" in by_name:
        data, end = data[: by_name["cut"]["bytes"]], by_name["cut"]["end"]
    pieces, gap_s = _pieces(data, by_name.get("split"))
    waits = [wait_s] + [gap_s] * (len(pieces) - 1)
    steps = [Step(piece, wait) for piece, wait in zip(pieces, waits, strict=True)]
    return [*steps[:-1], replace(steps[-1], end=end)]


def _changed(data: bytes, by_name: dict[str, Json]) -> bytes:
    if "code" in by_name:
        data = with_code(data, by_name["code"]["value"])
    if "refuse" in by_name:
        data = as_twin_refusal(data, by_name["refuse"]["status"])
    if "replace" in by_name:
        data = bytes.fromhex(by_name["replace"]["hex"])
    return data


def _copied(data: bytes, by_name: dict[str, Json]) -> bytes:
    args = by_name.get("duplicate")
    if args is None or not data:
        return data
    again = with_dup(data) if args["dup"] else data
    return data + again * int(args["count"])


def _pieces(data: bytes, args: Json | None) -> tuple[list[bytes], float]:
    if args is None or not data:
        return [data], 0.0
    # Each on its own: what leaves at once would leave in one TLS record.
    gap_s = max(float(args["gap"]), _LEAST_GAP_S)
    size = max(args["size"], -(-len(data) // _MAX_PIECES))
    return [data[at : at + size] for at in range(0, len(data), size)], gap_s
