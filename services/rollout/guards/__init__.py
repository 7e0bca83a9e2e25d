"""The guards: everything that is missing for a move. `move.py` has the table's guards, the others what they look at."""
