"""vfs as on a board: without the class that mounts the PC's file system."""

from vfs import VfsFat, VfsLfs1, VfsLfs2, mount, umount  # noqa: F401
