"""The record of a line: what happened to every unit, append-only, for ever.

chain.py says what an entry is and how its digest is made, rules.py what may be in one, tables.py
how they lie in a database, record.py is what stations use. Holds no key, only fingerprints.
"""
