"""Runs on MicroPython: a littlefs flash in RAM, mounted as a board's `/`, whose power can go."""

import os
import sys

import vfs

BLOCK = 4096
ERASED = b"\xff" * BLOCK
LFS = {"progsize": 32, "readsize": 32, "lookahead": 32}


class PowerCut(BaseException):
    pass


class Flash:
    """A block device. left: how many more writes and erasures there is power for, None for ever;
    half: the last one is half done. writes: how many there were. image: what a cut left.

    It goes on after the cut, for nobody: the collector closes the files that were open, must not
    allocate (so byte for byte), and tells on standard output what does not work.
    """

    def __init__(self, raw):
        self.raw = raw
        self.left = None
        self.half = False
        self.writes = 0
        self.image = None

    def spend(self, at, buffer):
        """Count one write or erasure; raise PowerCut at the first without power."""
        self.writes += 1
        if self.left is not None:
            self.left -= 1
            if self.left == -1:
                if self.half:
                    self.put(at, buffer, len(buffer) // 2)
                self.image = bytearray(self.raw)
                raise PowerCut

    def put(self, at, buffer, size):
        if self.image is None:
            self.raw[at : at + size] = memoryview(buffer)[:size]
            return
        for i in range(size):
            self.raw[at + i] = buffer[i]

    def readblocks(self, n, buffer, offset=0):
        at = n * BLOCK + offset
        if self.image is None:
            buffer[:] = memoryview(self.raw)[at : at + len(buffer)]
            return
        for i in range(len(buffer)):
            buffer[i] = self.raw[at + i]

    def writeblocks(self, n, buffer, offset=0):
        at = n * BLOCK + offset
        self.spend(at, buffer)
        self.put(at, buffer, len(buffer))

    def ioctl(self, op, n):
        if op == 4:
            return len(self.raw) // BLOCK
        if op == 5:
            return BLOCK
        if op == 6:
            self.spend(n * BLOCK, ERASED)
            self.put(n * BLOCK, ERASED, BLOCK)
        return 0


def mount(device):
    """Lay a flash at /, the PC's files at /pc."""
    vfs.mount(vfs.VfsLfs2(device, **LFS), "/")


def do_fill(spare):
    """A step: fill the flash up to spare blocks."""
    with open("/ballast", "wb") as file:
        while os.statvfs("/")[3] > spare:
            file.write(bytes(BLOCK))


def do_remove(path):
    """A step: remove a file, or a folder of files."""
    try:
        os.remove(path)
    except OSError:
        for name in os.listdir(path):
            os.remove(path + "/" + name)
        os.rmdir(path)


def begin(blocks):
    """Return an erased flash of so many blocks, mounted; what is imported then comes from /pc."""
    sys.path[:] = ["/pc" + path if path[:1] == "/" else path for path in sys.path]
    vfs.mount(vfs.VfsPosix("/"), "/pc")
    flash = Flash(bytearray(ERASED * blocks))
    vfs.VfsLfs2.mkfs(flash, **LFS)
    vfs.umount("/")
    mount(flash)
    return flash
