"""Runs on MicroPython: clock.py on the real board.py, which finds a clock of the port asked for.

On standard input: {"epoch": 1970 or 2000, "at": Unix seconds that the clock shows, "me": {..},
"root"?: path, "first"?: what chance says (15: ask in the order of the list), "error"?: the last
failure, "too_large"?: a module that there is no memory for, "hurry"?: [how fast ticks run, after
how many times that the clock was set]}. Prints what was returned or raised, said, set, by how
much the clock is off then, the milliseconds that it took, and how many sockets it left open.

With {"epoch", "times": [Unix seconds, ..]} sets each, on a clock that stands, and prints [what was
set, what the clock shows] of each. With {"epoch", "chances": n} prints so many of the board's.
"""

import json
import os
import sys
import time as real

from device import let_go

TO_2000 = 946684800


class Time:
    """The port's time module: whole seconds from its epoch, and ticks."""

    ticks_add = real.ticks_add
    ticks_diff = real.ticks_diff
    sleep_ms = real.sleep_ms
    behind_s = 0  # the real time: later by that
    hurry = (1, 0)
    stands_at = None

    def __init__(self, epoch):
        self.epoch_at = TO_2000 if epoch == 2000 else 0
        self.moments = []  # that it was set to

    def time(self):
        if self.stands_at is not None:
            return self.stands_at - self.epoch_at
        return int(real.time()) - self.behind_s - self.epoch_at

    def gmtime(self, seconds):
        return real.gmtime(seconds + self.epoch_at)

    def ticks_ms(self):
        speed, sets = self.hurry
        ticks = real.ticks_ms()
        return ticks * speed % (1 << 30) if len(self.moments) >= sets else ticks


class Machine:
    """The port's machine module: its RTC takes a date and knows no seconds."""

    def __init__(self, time):
        self.time = time

    def RTC(self):
        return self

    def datetime(self, moment):
        self.time.moments.append(moment)
        self.time.behind_s = int(real.time()) - seconds(*moment)
        if self.time.stands_at is not None:
            self.time.stands_at = seconds(*moment)


def seconds(year, month, day, weekday, hour, minute, second, microsecond):
    """Unix seconds, by a count of the days: the PC's mktime() would tell local time."""
    days = day - 1
    for y in range(1970, year + 1):
        leap = y % 4 == 0 and (y % 100 != 0 or y % 400 == 0)
        lengths = (31, 28 + leap, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
        days += sum(lengths if y < year else lengths[: month - 1])
    return days * 86400 + hour * 3600 + minute * 60 + second


class Device:
    def __init__(self, asked, board):
        self.me = {"endpoint": "localhost", "https_port": 1, "ntp": []}
        self.me.update(asked["me"])
        self.board = board
        self.clock = board.clock
        self.error = asked.get("error", "")
        self.too_large = asked.get("too_large")
        self.said = []
        context = board.ssl.SSLContext(board.ssl.PROTOCOL_TLS_CLIENT)
        context.verify_mode = board.ssl.CERT_REQUIRED
        if "root" in asked:
            with open(asked["root"], "rb") as file:
                context.load_verify_locations(cadata=file.read())

        self.trusts = None
        self.context = context

    def call(self, module, name, *args):
        if module == "trust":
            self.trusts = self.context
            return None
        if module == self.too_large:
            raise MemoryError
        try:
            return getattr(__import__(module), name)(*args)
        finally:
            let_go(module)

    def say(self, step, text):
        self.said.append([step, text])


def count_open():
    try:
        return len(os.listdir("/proc/self/fd"))
    except OSError:  # not Linux
        return 0


def set_each(board, time, times):
    shown = []
    time.stands_at = 0
    for at in times:
        board.set_unix_time(at)
        shown.append([time.moments[-1], board.unix_time()])
    return shown


def main(asked):
    time = Time(asked["epoch"])
    time.behind_s = int(real.time()) - asked.get("at", 0)
    time.hurry = asked.get("hurry", time.hurry)
    sys.modules["time"] = time
    sys.modules["machine"] = Machine(time)
    board = __import__("board")
    if "times" in asked:
        print(json.dumps(set_each(board, time, asked["times"])))
        return
    if "chances" in asked:
        print(json.dumps([board.jitter() for _ in range(asked["chances"])]))
        return
    shown_at = board.unix_time()
    if "first" in asked:
        board.entropy = lambda size: bytes([asked["first"]]) * size
    device = Device(asked, board)
    result = {"error": None, "moved": None}
    start_ms, were_open = time.ticks_ms(), count_open()
    try:
        result["moved"] = __import__("clock").run(device)
    except Exception as e:
        result["error"], result["text"] = type(e).__name__, str(e)
    result["ms"] = time.ticks_diff(time.ticks_ms(), start_ms)
    result["open"] = count_open() - were_open
    result["shown_at"] = shown_at
    result["set"] = time.moments
    result["off_s"] = board.unix_time() - int(real.time())
    result["said"] = device.said
    result["left"] = [n for n in ("sntp", "webtime", "dates", "aziot.opening") if n in sys.modules]
    print(json.dumps(result))


main(json.loads(sys.stdin.readline()))
