"""Which tests one process of pytest-xdist runs one after the other, while the other processes run the rest.

The faults break servers that they share, others load servers of their own, and fuzzing brings panels: two of a kind at once
would only starve each other. (pytest-xdist's own `--dist loadgroup` would do, did it work with this pytest: its mark leaves no
trace in the ids.)
"""

from xdist.scheduler import LoadScopeScheduling

# Faults of servers that each file starts for itself: as many minutes as those of the servers that all others share.
OTHER_SERVERS = ("disk", "failover", "replica", "rolling_restart", "secrets", "sentinel", "soak")
# By the beginnings of their names, the longer first.
GROUPS = {
    "tests/faults/test_stats_database.py": "two databases",
    **dict.fromkeys([f"tests/faults/test_{name}.py" for name in OTHER_SERVERS], "other servers"),
    "tests/faults/": "shared servers",
    "tests/mta/": "mail servers",
    "tests/trust/test_fuzz.py": "fuzzing",
    "tests/api/postal/test_over_http.py": "a panel",
}


class Together(LoadScopeScheduling):
    """A group is one piece of work, and every other test one of its own; the largest begin first."""

    def _split_scope(self, nodeid: str) -> str:
        return next((group for beginning, group in GROUPS.items() if nodeid.startswith(beginning)), nodeid)
