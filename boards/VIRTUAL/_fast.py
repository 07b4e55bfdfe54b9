"""Time that flies while a board waits, for tests that live days: sleep and poll, `speed` times.

Only waits are shortened: what the board computes takes as long as it takes. Nor does time fly
while an answer is due, or a peer on a busy PC would always be too late: see _ANSWER_US.
time.time() stays the PC's, so that tokens mean to the local Azure what they mean to the board.

Ticks are as on a chip: they wrap at 2^30, and begin five minutes before that.
"""

import _wires
import uselect
import utime as _host

POLLIN, POLLOUT = uselect.POLLIN, uselect.POLLOUT
POLLERR, POLLHUP = uselect.POLLERR, uselect.POLLHUP
_PERIOD = 1 << 30
_HALF = 1 << 29
_ANSWER_US = 300000  # for each answer that is due, of the PC's time
_MORE_US = 10000  # when none is: what else comes, comes at once
_CREDIT_US = 20000  # what the PC may be late, and is still made good
_speed = _wires.settings.get("speed", 1)
_ahead_us = (_PERIOD - 300000) * 1000 - _host.ticks_us()  # of the board's time, beyond the PC's
_owed_us = 0  # of the PC's time, not waited yet
_calm_at_us = 0  # when time may fly again, by the PC's clock
_due = 0  # how much was sent, and not answered yet
_dog = None  # [its patience, when it was fed last] in milliseconds


def _now_ms():
    return (_host.ticks_us() + _ahead_us) // 1000


def ticks_ms() -> int:
    return _now_ms() % _PERIOD


def ticks_us() -> int:
    return (_host.ticks_us() + _ahead_us) % _PERIOD


ticks_cpu = ticks_us


def ticks_add(ticks: int, delta: int) -> int:
    return (ticks + delta) % _PERIOD


def ticks_diff(end: int, start: int) -> int:
    return (end - start + _HALF) % _PERIOD - _HALF


def sleep_us(us: int) -> None:
    _fly(us, _host.sleep_us, 1)


def sleep_ms(ms: int) -> None:
    _fly(ms * 1000, _host.sleep_us, 1)


def sleep(seconds: float) -> None:
    _fly(int(seconds * 1000000), _host.sleep_us, 1)


def expect(answers: int = 1) -> None:
    """Something was sent, or is about to be: let what comes then come in its own time."""
    global _calm_at_us, _due
    _due += answers
    _calm_at_us = _host.ticks_us() + _ANSWER_US


def come(answers: int = 0) -> None:
    """Something came, or is there to be read."""
    global _calm_at_us, _due
    _due = max(0, _due - answers)
    _calm_at_us = _host.ticks_us() + (_ANSWER_US if _due else _MORE_US)


def _fly(us, wait, unit):
    """Let us microseconds of the board pass; wait(n): n units of the PC's. Return what it does."""
    global _ahead_us, _owed_us
    if us <= 0:
        return None
    begun = _host.ticks_us()
    _owed_us += us // _speed
    found = wait(max(0, _owed_us // unit))
    took = _host.ticks_us() - begun
    _owed_us = max(_owed_us - took, -_CREDIT_US)
    _ahead_us += max(0, (min(us, took * _speed) if found else us) - took)
    if _dog and _now_ms() - _dog[1] > _dog[0]:
        _told("watchdog 1")
        while True:
            _host.sleep(1)
    return found


def _tell(line):
    """Tell the bridge; but a watchdog counts the board's time, which the bridge cannot see fly.

    It keeps its whole time there, so that a board that computes for ever is bitten all the same.
    """
    global _dog
    verb, _, number = line.partition(" ")
    if verb == "watchdog":
        _dog = [int(number) * _speed, _now_ms()]  # machine.py has divided it
        line = "watchdog %d" % _dog[0]
    elif verb == "feed" and _dog:
        _dog[1] = _now_ms()
    _told(line)


_told = _wires.tell
_wires.tell = _tell


class poll:
    """select.poll over what sockets and _tls.py's sessions are underneath."""

    def __init__(self):
        self._native = uselect.poll()
        self._quick = uselect.poll()  # of the bare sockets: to look at a TLS one takes 1 ms

    def register(self, stream, events=POLLIN | POLLOUT):
        expect(0)
        self._look = self._chosen(events)
        self._native.register(getattr(stream, "native", stream), events)
        self._quick.register(getattr(stream, "bare", stream), events)

    def modify(self, stream, events):
        self._look = self._chosen(events)
        self._native.modify(getattr(stream, "native", stream), events)
        self._quick.modify(getattr(stream, "bare", stream), events)

    def _chosen(self, events):
        # What is written may have to wait for what is read, while a handshake lasts.
        return (self._native if events & POLLOUT else self._quick).poll

    def unregister(self, stream):
        self._native.unregister(getattr(stream, "native", stream))
        self._quick.unregister(getattr(stream, "bare", stream))

    def poll(self, timeout=-1):
        global _due
        calm_ms = max(0, (_calm_at_us - _host.ticks_us() + 999) // 1000)
        if timeout <= calm_ms:
            found = self._native.poll(timeout)
        else:
            # What TLS has in store came with what was read last: it is found while all is calm.
            found = calm_ms and self._native.poll(calm_ms)
            if not found:
                _due = 0
                found = _fly((timeout - calm_ms) * 1000, self._look, 1000)
                found = found and self._native.poll(0)
        if found:
            come()
        return found or []

    def ipoll(self, timeout=-1, flags=0):  # noqa: ARG002
        return iter(self.poll(timeout))
