"""A process that kills itself with SIGKILL at a step of SQLite's machine, as code for `python -c`.

What follows DYING in a script: die_after(so many steps), which count on through every file.
"""

DYING = """
import os, signal, sqlite3, sys
connect = sqlite3.connect

def die_after(steps):
    left = [steps]
    def step():
        left[0] -= 1
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
    def watched(*a, **k):
        file = connect(*a, **k)
        file.set_progress_handler(step, 1)
        return file
    sqlite3.connect = watched
"""
