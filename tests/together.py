"""Which tests one process of pytest-xdist runs one after the other, while the other processes run the rest.

The faults break servers that they share, and fuzzing brings panels of its own: two of a kind at once would only starve each
other. (pytest-xdist's own `--dist loadgroup` would do, did it work with this pytest: its mark leaves no trace in the ids.)
"""

from xdist.scheduler import LoadScopeScheduling

GROUPS = (
    "tests/faults/test_stats_database.py",
    "tests/faults/",
    "tests/mta/",
    "tests/trust/test_fuzz.py",
    "tests/api/postal/test_over_http.py",
)


class Together(LoadScopeScheduling):
    """A group is one piece of work, and every other test one of its own; the largest begin first."""

    def _split_scope(self, nodeid: str) -> str:
        return next((group for group in GROUPS if nodeid.startswith(group)), nodeid)
