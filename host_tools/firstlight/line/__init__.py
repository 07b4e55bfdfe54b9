"""The factory line: units side by side, from bare boards to proven devices, each in the record."""
