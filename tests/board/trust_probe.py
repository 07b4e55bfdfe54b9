"""Runs on MicroPython: trust.py and bundle.py on a littlefs flash in RAM; prints what they did.

On standard input: {"roots_key": base64 or null, "factory": [base64 DER], "steps": [[name, ...]]}.
Prints, as JSON, one answer for each step; the steps are the functions here that begin with do_.
Each step finds the modules let go, as a device's next phase does.
"""

import gc
import json
import os
import socket
import ssl
import sys
from binascii import a2b_base64

import flash_probe
import vfs
from flash_probe import Flash, PowerCut, mount


class Board:
    """The records lie on the same flash. broken: the store takes nothing; chance: of jitter()."""

    ssl = ssl
    broken = False
    chance = 0.5

    def jitter(self):
        return self.chance

    def load(self, name):
        return __import__("filestore").load(name)

    def save(self, name, raw):
        if self.broken:
            raise OSError(28)
        __import__("filestore").save(name, raw)


class Device:
    trusts = None
    on_trial = False
    old_roots = 0
    proof = None

    def __init__(self, board):
        self.board = board


board = Board()
device = Device(board)
me = {}


def do_install(bundle):
    status, text = __import__("bundle").install(board, me, bundle)
    if status == 202:  # as remote.py does
        device.trusts, device.old_roots = None, 0
    return [status, text]


def do_install_writes(bundle):
    before = flash.writes
    status, _ = do_install(bundle)
    return [status, flash.writes - before]


def do_context(old):
    """Return whether the roots are on trial; raise if none read."""
    return __import__("trust").context(board, old)[1]


def do_live(*happens):
    """Be a device that does one thing after the other: connect to a port, or fail with an error
    before it does. Return what came of each, and whether the roots were old ones or on trial."""
    trust = __import__("trust")
    error = __import__("aziot.errors").errors.ProtocolError
    told = []
    for what in happens:
        try:
            if device.trusts is None:
                trust.equip(device)
            turn = " over old roots" if device.old_roots else " on trial" * device.on_trial
            if isinstance(what, str):
                raise error(what) if what[:4] in ("TLS:", "MQTT") else OSError(110)
            connect(device.trusts, what)
            if device.on_trial or device.old_roots:
                trust.reached(device)
            told.append("ok" + turn)
        except (OSError, ValueError, error) as e:
            text = "TLS: " + str(e) if isinstance(e, ValueError) else str(e)
            trust.doubted(device, error(text) if text[:4] in ("TLS:", "MQTT") else e)
            told.append(text[:4] + turn)
    return told


def do_ready():
    """Whether the next connection needs to read no roots."""
    return device.trusts is not None


def do_chance(value):
    board.chance = value


def connect(context, port):
    """Connect as Link does."""
    sock = socket.socket()
    try:
        sock.connect(socket.getaddrinfo("127.0.0.1", port)[0][-1])
        context.wrap_socket(sock, server_hostname="localhost").close()
    finally:
        sock.close()


def do_state():
    return __import__("trust").state(board)


def do_folders():
    names = [name for name in os.listdir("/") if name[:5] == "roots" and "." not in name]
    return {name: len(os.listdir("/" + name)) for name in names}


def do_store(broken):
    board.broken = broken


def do_write(path, size):
    """Write a file of so many bytes over what is there."""
    with open(path, "wb") as file:
        file.write(b"\x30" * size)


def do_mkdir(path):
    os.mkdir(path)


def do_starve(bundle):
    """Install with less and less memory left, until it is enough for nothing. Return statuses."""
    install = __import__("bundle").install
    hoard, found = [], []
    try:
        while True:
            hoard.append(bytearray(1024))
            if gc.mem_free() < 30000:
                found.append(install(board, me, bundle)[0])
                if found[-1] == 202:  # as if it had not been
                    os.remove("/roots.rec")
    except MemoryError:
        hoard.clear()
    return found


def do_peak(bundle):
    """Return the bytes of the heap that install() needs beside its bundle."""
    gc.collect()
    before = gc.mem_free()
    gc.threshold(256)
    __import__("bundle").install(board, me, bundle)
    return before - gc.mem_free()


def do_cut(name, *args):
    """Cut the power at every write of a step in turn, the write left out and half done. Return
    the states that the next boot found, once each, and the number of cuts."""
    global flash  # noqa: PLW0603
    before, found, cuts = bytes(flash.raw), [], 0
    for half in (False, True):
        left = 0
        while True:
            flash = Flash(bytearray(before))
            vfs.umount("/")
            mount(flash)
            forget()
            do_wake()
            flash.left, flash.half = left, half
            try:
                run(name, args)
                break
            except PowerCut:
                cuts += 1
            flash = Flash(flash.image)
            vfs.umount("/")
            mount(flash)
            forget()
            do_whole()
            if do_state() not in found:
                found.append(do_state())
            left += 1
    return [found, cuts]


def do_whole():
    """Raise if not every certificate reads in the folders that the record names."""
    trust = __import__("trust")
    found = trust.state(board)
    for number in {found["good"], found["trial"]}:
        trust.trusting(ssl, "/roots%s/" % (number or ""))


def do_wake():
    """A reset: what was in memory is gone."""
    global device  # noqa: PLW0603
    device = Device(board)


def forget():
    for name in ("trust", "bundle", "folders", "filestore", "aziot.record"):
        sys.modules.pop(name, None)
    gc.collect()


def run(name, args):
    return (globals().get("do_" + name) or getattr(flash_probe, "do_" + name))(*args)


def main(asked):
    me["roots_key"] = asked["roots_key"]
    os.mkdir("/roots")
    for n, der in enumerate(asked["factory"]):
        with open(f"/roots/{n}.der", "wb") as file:
            file.write(a2b_base64(der))
    answers = []
    for name, *args in asked["steps"]:
        forget()
        answers.append(run(name, args))
    print(json.dumps(answers))


asked = json.loads(sys.stdin.readline())
flash = flash_probe.begin(asked.get("blocks", 64))
main(asked)
