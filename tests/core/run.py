"""Runs core tests on MicroPython: `micropython tests/core/run.py tests.core.test_sas ...`.

Prints a line for each failure and one at the end; exits 1 if any test failed or none ran.
"""

import sys


def _functions(name):
    module = __import__(name)
    for part in name.split(".")[1:]:
        module = getattr(module, part)
    return [(n, getattr(module, n)) for n in sorted(dir(module)) if n.startswith("test_")]


def main(names):
    passed = failed = 0
    for name in names:
        for title, test in _functions(name):
            try:
                test()
                passed += 1
            except Exception as e:
                failed += 1
                print("FAILED %s.%s" % (name, title))
                sys.print_exception(e)
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed or not passed else 0


sys.exit(main(sys.argv[1:]))
