"""How often the garbage collector of a process looks for what refers to itself."""

import gc

# New objects that hold others; Python's own number is 2,000.
_OBJECTS = 50_000


def collect_rarely() -> None:
    """Look at new objects only, and more rarely.

    All objects of a batch of events live until it is stored: to look at them again and again takes a twentieth of its time.
    What was loaded stays, and is not looked at any more. Some megabytes may wait longer for the collector.
    """
    gc.freeze()
    gc.set_threshold(_OBJECTS, 20)
