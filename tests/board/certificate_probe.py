"""Runs on MicroPython: a device with an X.509 identity, on a littlefs flash in RAM.

On standard input: {"firmware": a folder with it as boards get it, "identity": {...}, "roots":
[base64 DER], "at": Unix seconds, "steps": [[name, ...]]}. Prints, as JSON, one answer for each
step; the steps are the functions here that begin with do_. The device is device.py's own, made by
wake.py; of its phases, register and serve are ours: at DPS it gets what it is told to, and at the
hub it connects to a port with TLS.
"""

import gc
import json
import os
import socket
import ssl
import sys
from binascii import a2b_base64

import flash_probe
from board_probe import Board
from flash_probe import Flash, PowerCut, mount

OUR_OWN = (
    "certificate", "verdict", "renew", "folders", "der", "dates", "trust", "filestore", "wake",
    "notes", "trouble", "aziot.record", "aziot.supervisor", "aziot.identity", "aziot.backoff",
)  # fmt: skip

FAILURES = {"lost": 110, "alert": -0x7780, "no memory in TLS": -0x7F00}


board = Board()
device = None
said = []


class Phase:
    def __init__(self, run):
        self.run = run


def say(step, text):
    if step in ("cert", "serve", "register"):
        said.append(f"{step}: {text}")


def boot():
    global device  # noqa: PLW0603
    forget()
    device = None
    gc.collect()
    device = __import__("wake").run(board, __import__("time"), say)
    device.work = True  # app.py is of no interest
    device.tell = lambda: None


def do_boot():
    """Wake; return "" or why there is no identity, and whether the watchdog watches."""
    Board.watched = None
    try:
        boot()
    except errors.IdentityError as e:
        return [str(e), Board.watched is not None]
    return ["", Board.watched is not None]


def do_step(dps, hub):
    """Do the device's next thing. dps: what it issues, or the status that it refuses with, or
    "lost"; hub: the port to connect to, or what comes of it: "refused" or one of FAILURES. Return
    what was done.
    """
    done = []
    sys.modules["wifi"] = Phase(lambda _: None)
    sys.modules["clock"] = Phase(lambda _: 0)
    sys.modules["register"] = Phase(lambda _: register(dps, done))
    sys.modules["serve"] = Phase(lambda _: serve(hub, done))
    device.step()
    told, said[:] = said[:], []
    return done + told


def register(dps, done):
    csr = device.call("renew", "csr", device) if device.proof["asks"] else None
    done.append(f"dps {'csr' if csr else '-'} {device.proof['wanted']}")
    if dps == "lost":
        raise OSError(FAILURES[dps])
    if isinstance(dps, int):
        raise errors.ServiceError("DPS: no", dps)
    device.kept = {"hub": "h", "whose": device.me["whose"]}
    if csr:
        device.call("renew", "asked", device)
        device.call("renew", "take", device, dps)
    return "assigned"


def serve(hub, done):
    done.append(f"hub {device.proof['wanted']}")
    if hub == "refused":
        raise errors.Refused(5)
    if hub == "mistrusted":
        raise errors.ProtocolError("TLS: not one of ours")
    if hub in FAILURES:
        raise OSError(FAILURES[hub])
    connect(device.trusts, hub)
    device.served = True
    if device.on_trial or device.old_roots:
        device.call("trust", "reached", device)
    if device.proof["trial"] or device.proof["turn"]:
        device.call("verdict", "reached", device)
    return "renew"


def do_steps(dps, *hubs):
    """Step by step, until the hub was tried with each of these."""
    found = []
    for hub in hubs:
        for _ in range(5):
            told = do_step(dps, hub)
            found += told
            if [line for line in told if line[:3] == "hub"]:
                break
    return found


def connect(context, port):
    """Connect as Link does, and let the server judge."""
    sock = socket.socket()
    tls = None
    try:
        sock.connect(socket.getaddrinfo("127.0.0.1", port)[0][-1])
        tls = context.wrap_socket(sock, server_hostname="localhost")
        if tls.read(2) != b"in":
            raise OSError(104)
    finally:
        if tls:
            tls.close()
        sock.close()


def do_prove(port):
    """What a host has a board do, to prove what it holds."""
    certificate = __import__("certificate")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.verify_mode = ssl.CERT_NONE
    certificate.load(context, certificate.section(board))
    try:
        connect(context, port)
    except OSError as e:
        return f"OSError {e}"
    return "in"


def do_kept():
    """Return how many bytes of the heap a device takes that is ready to connect."""
    device.call("trust", "equip", device)
    device.reports.clear()
    forget()
    return gc.mem_alloc()


def do_state():
    state = __import__("certificate").state(board, device.me["x509"])
    state.pop("whose")
    return state


def do_reported():
    return device.reports["firstlight"].get("certificate")


def do_renew_roots():
    """Put the roots that are here on trial, as a bundle of the cloud's."""
    os.mkdir("/roots1")
    for name in os.listdir("/roots"):
        with open("/roots/" + name, "rb") as old, open("/roots1/" + name, "wb") as new:
            new.write(old.read())
    packed = __import__("aziot.record").record.pack({"good": 0, "trial": 1, "tries": 0})
    board.save("roots", packed)


def do_roots():
    return __import__("trust").state(board)


def do_ways():
    return device.plan["keys"]


def do_folders():
    names = [name for name in os.listdir("/") if name[:4] == "cert" and "." not in name]
    return {name: len(os.listdir("/" + name)) for name in names}


def do_at(at):
    device.up_s += max(0, at - board.at)
    board.at = at


def do_starve(reads):
    board.starved = reads


def do_sleep(seconds):
    """Sleep deeply, and wake."""
    pack = __import__("aziot.record").record.pack
    device.work = None
    board.save("assignment", pack(device.kept))
    __import__("leave")._save(device, device.up_s + seconds)
    boot()


def do_flash():
    """Have the identity come with the image, in NVS, and not as a file."""
    with open("/identity.json", "rb") as file:
        board.flashed = file.read()
    os.remove("/identity.json")


def do_move(path, to):
    os.rename(path, to)


def do_inject(identity):
    with open("/identity.json", "w") as file:
        json.dump(identity, file)


def do_write(path, size):
    with open(path, "wb") as file:
        file.write(b"\x30" * size)


def do_cut(name, *args):
    """Cut the power at every write of a step in turn, the write left out and half done. Return
    the states that the next boot found, once each; the number of cuts; the states in the end:
    after another cut two days later, at any of the writes, and then the whole step; of each
    fourth, for it takes its time."""
    before, at, found, ended, cuts = bytes(flash.raw), board.at, [], [], 0
    for half in (False, True):
        left = 0
        while cut(before, left, half, name, args):
            cuts += 1
            note(do_state(), found)
            device.call("trust", "equip", device)
            if not left & 3:
                board.at = at + 2 * 86400
                cut(flash.raw, left * 7 % 20, half, name, args)
                board.at = at + 4 * 86400
                run(name, args)
                note(do_state()["good"] > 0, ended)
                board.at = at
            left += 1
    return [found, cuts, ended]


def cut(raw, left, half, name, args):
    """Run a step with power for so many writes, and boot again. False: it had enough."""
    lay(Flash(bytearray(raw)))
    boot()
    flash.left, flash.half = left, half
    try:
        run(name, args)
    except PowerCut:
        lay(Flash(flash.image))
        boot()
        return True
    flash.left = None
    return False


def note(one, found):
    if one not in found:
        found.append(one)


def lay(made):
    global flash  # noqa: PLW0603
    vfs_umount("/")
    flash = made
    mount(flash)


def forget():
    for name in OUR_OWN:
        module = sys.modules.pop(name, None)
        if module and name[:6] == "aziot.":
            delattr(sys.modules["aziot"], name[6:])
    gc.collect()


def run(name, args):
    return (globals().get("do_" + name) or getattr(flash_probe, "do_" + name))(*args)


def main(asked):
    os.mkdir("/roots")
    for n, der in enumerate(asked["roots"]):
        with open(f"/roots/{n}.der", "wb") as file:
            file.write(a2b_base64(der))
    do_inject(asked.pop("identity"))
    board.at = asked["at"]
    answers = []
    for name, *args in asked["steps"]:
        answers.append(run(name, args))
    print(json.dumps(answers))


vfs_umount = __import__("vfs").umount
asked = json.loads(sys.stdin.readline())
sys.path.insert(0, asked["firmware"])
flash = flash_probe.begin(asked.get("blocks", 64))
errors = __import__("aziot.errors").errors
main(asked)
