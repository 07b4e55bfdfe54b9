"""The script that the unix port runs before its REPL: becomes a board, then forgets that it did.

Never leaves a name of its own in `__main__`, nor the PC's file system mounted.
"""

import sys

sys.path[:] = []  # the os that is built in, not the board's
import os  # noqa: E402

import vfs  # noqa: E402

vfs.umount("/")
vfs.mount(vfs.VfsPosix(sys.argv[0].rsplit("/", 1)[0]), "/.board", readonly=True)
sys.path[:] = ["/.board"]
__import__("_rom").start(os.getenv("BOARD"), globals())
