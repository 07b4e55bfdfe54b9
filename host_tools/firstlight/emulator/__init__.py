"""A local Azure: DPS and IoT Hub on loopback, for boards and tests that have no cloud.

Imports nothing by itself: the command line must not pay for what it does not use.
"""
