"""Compiler for Haraka: one JSON file, `sluice.json`, which the plug-in in agent/haraka/ reloads when it changes.

Exact for addresses, weights, connections and hourly limits. Pauses, suspensions and credentials come with the overlay, which
the agent writes beside it, so the overlay changes nothing here.
"""

import orjson

from nodes.policy import findings, layout
from nodes.policy.compiled import Compiled
from nodes.policy.flat import limit_tables, pool_table
from nodes.policy.model import Overlay, Policy

FILE = "sluice.json"
FORMAT = 1


def compile_policy(policy: Policy, overlay: Overlay) -> Compiled:
    """Return the file, the tags and the fidelity report."""
    limits = limit_tables(policy)
    draws = {pool.id: pool_table(policy, pool.id) for pool in policy.pools}
    document = {"format": FORMAT, **layout.document_of(policy, limits, draws)}
    text = orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()
    return Compiled({FILE: text}, layout.tags_of(policy, limits), tuple(findings.shared(policy, draws)))
