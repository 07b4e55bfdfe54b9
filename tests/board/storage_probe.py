"""Runs on MicroPython: cuts the power in every write of some steps; prints what each cut left.

On standard input, JSON. "flash": of "esp32" or "rp2" (their littlefs, on NOR flash in memory), or
"nvs" (the stand-in's); "path": where the stand-ins lie; "blocks": the size of a littlefs;
"before": code that is run once; "steps": a list of code, each on what the one before left, run
again and again, and cut in the n-th write, for n from 0 until it ends uncut; "harm": what is left
of that write, some of "nothing", "half", "all", "noise"; "after": an expression, asked after the
next boot; "then": code that is run there, before one more boot is asked. To the code, store is the
module that is tested. Printed: for each step [[n, harm, [answer, answer]], ...], the last uncut.
"""

import gc
import json
import sys

import uos as os  # the stand-ins' folder has an os too
import vfs

BLOCK = 4096
GEOMETRY = {"esp32": (32, 32, 32), "rp2": (256, 32, 32)}  # program, read, look-ahead size
asked = json.loads(sys.stdin.readline())


class PowerCut(BaseException):
    """The steps' own `except OSError` must not see it."""


class Chip:
    """NOR flash: a write clears bits, an erasure sets those of a block; dead after the cut."""

    def __init__(self, image, cut_at=-1, harm=""):
        self.image = image
        self.writes = 0
        self.cut_at = cut_at
        self.harm = harm
        self.is_dead = False

    def write(self, at, data):
        if self.is_dead:
            raise PowerCut
        if self.writes == self.cut_at:
            self.is_dead = True
            self.image[at : at + len(data)] = self.harmed(at, data)
            raise PowerCut
        self.image[at : at + len(data)] = data
        self.writes += 1

    def harmed(self, at, data):
        """What a write leaves that was cut."""
        there = self.image[at : at + len(data)]
        if self.harm == "nothing":
            return there
        if self.harm == "all":
            return data
        half = len(data) // 2
        if self.harm == "half":
            return data[:half] + there[half:]
        # Each bit of the second half is what it was or what it shall be, in no order.
        noise = bytearray(len(data) - half)
        for i in range(len(noise)):
            mask = (i * 167 + self.writes * 59 + 91) & 0xFF
            noise[i] = there[half + i] & mask | data[half + i] & ~mask & 0xFF
        return data[:half] + noise

    def program(self, at, data):
        there = self.image[at : at + len(data)]
        for i in range(len(data)):
            there[i] &= data[i]
        self.write(at, there)

    def erase(self, at):
        self.write(at, b"\xff" * BLOCK)

    # What vfs wants of a block device.

    def readblocks(self, number, buffer, offset=0):
        at = number * BLOCK + offset
        buffer[:] = self.image[at : at + len(buffer)]

    def writeblocks(self, number, buffer, offset=0):
        self.program(number * BLOCK + offset, buffer)

    def ioctl(self, operation, number):
        if operation == 4:
            return len(self.image) // BLOCK
        if operation == 5:
            return BLOCK
        if operation == 6:
            self.erase(number * BLOCK)
        return 0

    # What the stand-in for NVS wants of its file.

    def seek(self, at, whence=0):
        self.position = len(self.image) if whence == 2 else at
        return self.position

    def read(self, size):
        return bytes(self.image[self.position : self.position + size])


def mounted(chip, scope):
    program, read, lookahead = GEOMETRY[asked["flash"]]
    flash = vfs.VfsLfs2(chip, progsize=program, readsize=read, lookahead=lookahead)
    vfs.umount("/")
    vfs.mount(flash, "/")
    os.chdir("/")


def nvs_booted(chip, scope):
    """A boot of the stand-in, with the chip in place of its file."""
    wires.open_file = lambda name, mode: chip
    wires.program = lambda file, at, data: chip.program(at, data)
    wires.erase = lambda file, at: chip.erase(at)
    esp32._log.clear()
    esp32._handles[0] = 0
    nvsstore.spaces.clear()


def run(code, chip, scope):
    boot(chip, scope)
    exec(code, scope)


def answer(chip):
    """What the next boot says; it does what it is told, and the boot after that says again."""
    said = []
    for _ in range(2):
        scope = dict(modules)
        boot(Chip(chip.image), scope)
        said.append(eval(asked["after"], scope))
        exec(asked["then"], scope)
    return said


def cut_everywhere(image, step):
    """Cut step in each of its writes; leave the image as the uncut run left it."""
    before = bytes(image)
    found = []
    n = 0
    while True:
        for harm in asked["harm"]:
            image[:] = before
            chip = Chip(image, n, harm)
            try:
                run(step, chip, dict(modules))
            except PowerCut:
                found.append((n, harm, answer(chip)))
                continue
            after = bytes(image)
            found.append((n, "uncut", answer(chip)))
            image[:] = after
            return found
        n += 1


modules = {"os": os}
if asked["flash"] == "nvs":
    sys.path.insert(0, asked["path"])
    import _wires as wires
    import esp32

    import nvsstore

    modules["esp32"] = esp32
    modules["store"] = nvsstore
    boot = nvs_booted
    first = Chip(bytearray(b"\xff" * (6 * BLOCK)))
else:
    import filestore

    modules["store"] = filestore
    boot = mounted
    gc.disable()  # a finaliser would close the files of a cut run
    first = Chip(bytearray(b"\xff" * (asked["blocks"] * BLOCK)))
    program, read, lookahead = GEOMETRY[asked["flash"]]
    vfs.VfsLfs2.mkfs(first, progsize=program, readsize=read, lookahead=lookahead)

run(asked["before"], first, dict(modules))
print(json.dumps([cut_everywhere(first.image, step) for step in asked["steps"]]))
