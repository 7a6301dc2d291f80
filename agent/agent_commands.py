"""The `check` and `status` commands of the agent. Python 3.9, standard library only."""

from __future__ import annotations

import json
import os

from agent_files import is_locked, read_json
from agent_haraka import Haraka
from agent_panel import Panel, Refused, Unreachable
from agent_postfix import Postfix
from agent_settings import VERSION, BadSettings
from agent_spool import Spool


def check(settings):
    """Print what is missing, a sentence a line; status 0 where nothing is."""
    try:
        panel = Panel(settings.url, settings.key())
    except BadSettings as error:
        print(error)
        return 1
    kind, found = _ask(panel)
    os.makedirs(settings.state, mode=0o755, exist_ok=True)
    if not os.access(settings.state, os.W_OK):
        found.append(f"the folder {settings.state} cannot be written to")
    found += _machine(settings, kind)
    print("\n".join(found or ["ok"]))
    return 1 if found else 0


def _ask(panel):
    """Return the kind of the node (None: not known yet), and what the panel has against it."""
    try:
        return panel.policy()[0]["kind"], []
    except Refused as error:
        # A node whose policy was never published is fine.
        return None, [] if error.status == 404 else [str(error)]
    except (Unreachable, ValueError, KeyError) as error:
        return None, [str(error)]


def _machine(settings, kind):
    if kind == "haraka" or (kind is None and os.path.isdir(settings.config)):
        return Haraka(settings.config).missing()
    if kind in ("postfix", None):
        return Postfix(settings.state, settings.submission, settings.tls_chain).missing()
    return [f"this agent does not run {kind}"]


def status(settings):
    """Print the state as one JSON object, whether an agent runs or not."""
    applied = read_json(os.path.join(settings.state, "policy.json"))
    found = {
        "running": is_locked(os.path.join(settings.state, "agent.lock")),
        "version": VERSION,
        "node": applied and applied["node"],
        "kind": applied and applied["kind"],
        "revision_applied": applied and applied["revision"],
        "digest_applied": applied and applied["digest"],
        "overlay_applied": applied and applied["overlay"]["number"],
        "applied_at": applied and applied["applied_at"],
        "error": "",
        "spool_events": 0,
        "oldest_event": None,
        "events_refused": 0,
        "logins": read_json(os.path.join(settings.state, "logins.json")) or {"accepted": 0, "refused": 0},
    }
    database = os.path.join(settings.state, "agent.db")
    if os.path.exists(database):
        spool = Spool(database)
        found["spool_events"], found["oldest_event"] = spool.waiting()
        found["error"] = spool.recall("error", "")
        found["events_refused"] = spool.recall("events_refused", 0)
        spool.close()
    print(json.dumps(found))
    return 0
