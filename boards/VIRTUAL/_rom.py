"""What a board's ROM does: stand-ins, the flash mounted as `/`, then boot.py and main.py.

Never lets board code see the PC's files. The order matters: nothing that board code can reach runs
before the PC's folder is unmounted.
"""

import gc
import io
import sys

import _wires
import vfs

_STAND_INS = (
    ("time", "time"),
    ("os", "os"),
    ("machine", "machine"),
    ("network", "network"),
    ("esp32", "esp32"),
    ("_vfs", "vfs"),
)
_FAST = (("_fast", "select"), ("_names", "socket"))  # and time, which takes it from there
_OVERHEAD = 1536  # bytes of a heap: its tables
_NEW_TABLE = 4096  # bytes, at the least, that a table of names takes
_REPL_STARTS = "\x1b_firstlight:repl\x1b\\"  # the bridge takes it out of what the port shows


def start(settings: str, scope: dict) -> None:
    """Become the board that settings (the bridge's JSON) describe. scope: `__main__`'s names."""
    run_main = _wires.connect(settings)
    for name in ("os", "sys", "vfs", "__file__"):
        scope.pop(name, None)
    _load_stand_ins()
    vfs.umount("/.board")
    sys.path[:] = ["", ".frozen", "/lib"]
    sys.argv[:] = []
    _mount_flash()
    _fill_heap()
    _wires.tell("up")
    try:
        if not _run("boot.py", scope) and run_main:
            _run("main.py", scope)
    except KeyboardInterrupt:  # between the two
        pass
    sys.stdout.write(_REPL_STARTS)


def _load_stand_ins():
    settings = _wires.settings
    chosen = _STAND_INS
    if settings.get("speed", 1) > 1 or settings.get("tls_in_heap"):
        chosen = _FAST + chosen + (("_tls", "ssl"),)  # whose sessions only _fast.py can poll
    for file, name in chosen:
        sys.modules.pop(name, None)
        module = __import__(file)
        sys.modules[name] = module
        sys.modules["u" + name] = module
    for name in ("_rom", "_wires", "_vfs", "u_vfs", "_fast", "_names", "_tls"):
        sys.modules.pop(name, None)


def _mount_flash():
    device = _wires.Flash()
    try:
        flash = vfs.VfsLfs2(device, progsize=32, readsize=32, lookahead=32)
    except OSError:
        if not device.is_erased():
            raise
        # As ports/esp32/modules/inisetup.py: an erased flash is formatted, a damaged one never.
        vfs.VfsLfs2.mkfs(device, progsize=32, readsize=32, lookahead=32)
        flash = vfs.VfsLfs2(device, progsize=32, readsize=32, lookahead=32)
    vfs.mount(flash, "/")


def _fill_heap():
    """Leave board code the heap that was asked for, in one piece, as a board's is at power-on.

    The stand-ins and their names lie in what is beside it. MicroPython's tables of names double:
    the next one is made here already, for its size is that of the stand-ins' names.
    """
    gc.collect()
    grown = count = 0
    while grown < _NEW_TABLE and count < 2000:
        used = gc.mem_alloc()
        setattr(_Names, f"name {count}", None)
        grown = gc.mem_alloc() - used
        delattr(_Names, f"name {count}")
        count += 1
    gc.collect()
    piece = bytearray(_wires.settings["heap_bytes"] - _OVERHEAD)
    sys.modules["esp32"]._power_on()
    gc.collect()
    size = gc.mem_free()
    while size >= 16:
        try:
            _wires.ballast = (_wires.ballast, bytearray(size))
        except MemoryError:
            size //= 2
    del piece
    gc.collect()


class _Names:
    pass


def _run(name, scope):
    """Run one of the board's own scripts if it is there. Return True after Ctrl-C."""
    try:
        sys.modules["os"].stat(name)
    except OSError:
        return False
    scope["__name__"] = "__main__"
    try:
        execfile(name, scope)  # noqa: F821  a builtin of MicroPython
    except SystemExit:
        _wires.halt("soft")
    except BaseException as error:
        _report(error)
        return isinstance(error, KeyboardInterrupt)
    return False


def _report(error):
    """Print the traceback as a board does: without the line of this file."""
    text = io.StringIO()
    sys.print_exception(error, text)
    for line in text.getvalue().split("\n"):
        if line and "/_rom.py" not in line and '"_rom.py"' not in line:
            print(line)
