"""Runs on MicroPython: the board of certificate_probe.py, its records on the flash that is /."""

import ssl


class Board:
    """The records lie on the same flash. starved: how many times more the state of the
    certificates is read, and then there is no memory for it once; 0: there always is.
    flashed: the identity in NVS."""

    ssl = ssl
    starved = 0
    flashed = None
    at = 0
    noted = watched = None

    def load(self, name):
        if name == "identity":
            return self.flashed
        if name == "cert" and self.starved:
            self.starved -= 1
            if not self.starved:
                raise MemoryError
        return __import__("filestore").load(name)

    def save(self, name, raw):
        __import__("filestore").save(name, raw)

    def erase(self, name):
        __import__("filestore").erase(name)

    def recall(self):
        return self.noted

    def remember(self, raw, final):
        Board.noted = raw

    def watchdog(self, timeout_ms):
        Board.watched = timeout_ms
        return lambda: None

    def reset_cause(self):
        return "power on"

    def unix_time(self):
        return self.at

    def jitter(self):
        return 0.5

    def entropy(self, size):
        return bytes(size)
