"""Your part of the board: what it measures, and what it does when the hub asks. Yours to edit.

Only INTERVAL_S and sample() have to be here. What raises is told on the console, and the board
goes on. Never block for long: the connection waits meanwhile, and the watchdog a minute at most.
"""

import gc

INTERVAL_S = 60  # between samples: 0.1 to 500000
OUTBOX = 16  # messages that wait while the hub cannot be reached; the oldest give way
KEEP = False  # True: they survive a reset and a power cut, for a write to the flash each
SLEEP = False  # True: deep sleep between samples: send, flush, sleep


def sample() -> dict:
    """Return one message, as a dict that JSON can hold; None for nothing this time."""
    return {"free_bytes": gc.mem_free()}


# Further functions, all optional:
#
# def start(hub):                   at power-on; keep hub: hub.send({...}), hub.report({...})
# def tick():                       at least once a second, but while the board joins a network,
#                                   sets its clock, registers, or connects
# def on_message(body, properties): a message to the device: bytes, and a dict of texts
# def on_method(name, payload):     a direct method; return (status, answer) or the answer
# def on_desired(patch, whole):     the twin's desired properties, all of them or what changed;
#                                   return a dict of reported properties, or None
