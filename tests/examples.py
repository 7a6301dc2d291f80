"""How many examples hypothesis makes of each test: few in `make test`, thirty times as many in `make properties`.

A test that asks for a number of its own asks for `examples(few)`.
"""

import os

# Of a test that asks for none.
USUAL = 30
MANY = "SLUICE_EXAMPLES"


def examples(few: int) -> int:
    """Return how many to make where `few` are made in `make test`."""
    return few * int(os.environ.get(MANY, "1"))
