"""The name that MicroPython's compiler folds; on CPython an identity function.

Imported by every core file so that one line serves both interpreters. Never does anything else.
A constant that begins with an underscore, text and bytes too, leaves no name in a board's memory.
"""


def const(value):
    return value
