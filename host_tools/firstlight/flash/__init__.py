"""From MicroPython's image and the firmware's files to what lies in a board's flash.

The pieces are made without a board; esptool, UF2 volumes and virtual boards then write them.
"""
