"""The script that the unix port runs before its REPL: becomes a board, then forgets that it did.

Never leaves a name of its own in `__main__`, nor the PC's file system mounted.
"""

import sys

import vfs

vfs.umount("/")
vfs.mount(vfs.VfsPosix(sys.argv[0].rsplit("/", 1)[0]), "/.board", readonly=True)
sys.path[:] = ["/.board"]
__import__("_rom").start(sys.argv[1], globals())
