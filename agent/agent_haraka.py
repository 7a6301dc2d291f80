"""Driver for Haraka: writes the policy as two JSON files, which the plug-in reloads when they change.

    CONFIG/sluice.json            what a revision fixes
    CONFIG/sluice-overlay.json    pauses, suspensions, credentials
    CONFIG/sluice-events.ndjson   what the plug-in writes, and the agent reads (rotated by the plug-in)
    CONFIG/sluice-status.json     what the plug-in says of itself

Python 3.9, standard library only.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import os
import time

from agent_files import opened, replace
from agent_generation import addresses_present
from agent_grammar import InvalidPolicy

POLICY, OVERLAY, STATUS = "sluice.json", "sluice-overlay.json", "sluice-status.json"
SECONDS_OF_WATCH = 10.0
# The plug-in writes its status every few seconds.
SECONDS_TO_BE_ALIVE = 15.0


class RolledBack(Exception):
    """The policy was applied, and taken back, and why."""


class Haraka:
    """The node's Haraka, which is started independently (its plug-in is in haraka/)."""

    kind = "haraka"

    def __init__(self, config):
        self._config = config

    def logs(self):
        """Return what is read."""
        return [os.path.join(self._config, "sluice-events.ndjson")]

    def prepare(self):
        """Make the folder, which Haraka writes to as well."""
        os.makedirs(self._config, mode=0o755, exist_ok=True)

    def missing(self):
        """Return sentences about what this machine lacks."""
        if not os.path.isdir(self._config):
            return [f"the folder {self._config} does not exist (--config: the folder of the plug-in's sluice.json)"]
        if not os.access(self._config, os.W_OK):
            return [f"the folder {self._config} cannot be written to"]
        return []

    def version(self):
        """Return Haraka's version, as the plug-in says it."""
        return str(self._status().get("haraka", ""))

    def apply(self, document, now, interrupted):
        """Replace the files, and wait until the plug-in has read them. Raises InvalidPolicy or RolledBack."""
        files = {**document["files"], **(document["overlay"].get("files") or {})}
        check(files)
        texts = {POLICY: files[POLICY], OVERLAY: json.dumps(document["overlay"], sort_keys=True)}
        before = {name: _read(self._path(name)) for name in texts}
        # Credentials before pools: a tenant that comes new finds both.
        for name in (OVERLAY, POLICY):
            self._replace(name, texts[name])
        wanted = {name: digest(text) for name, text in texts.items()}
        started = time.monotonic()
        while self._is_alive(now + time.monotonic() - started):
            status = self._status()
            if status.get("error"):
                for name, text in before.items():
                    if text is not None:
                        self._replace(name, text)
                raise RolledBack(f"the plug-in reports: {status['error']}")
            if status.get("files") == wanted or interrupted() or time.monotonic() - started > SECONDS_OF_WATCH:
                break
            time.sleep(0.1)

    def start(self):
        """Haraka is started by the machine, not by the agent."""

    def maintain(self):
        """Haraka needs no maintenance."""

    def sockets(self, document):
        """Haraka's plug-in decides about log-ins itself."""
        return []

    def stop_sockets(self, sockets):
        """Return where the plug-in will ask about recipients."""
        return [os.path.join(self._config, "sluice-suppressions")]

    def logins(self):
        """Return how many log-ins were accepted and refused, as the plug-in says it."""
        return self._status().get("logins")

    def queue(self):
        """Return how many messages wait, as the plug-in says it."""
        queue = self._status().get("queue") or {}
        return {"active": int(queue.get("active", 0)), "deferred": int(queue.get("deferred", 0))}

    def drift(self):
        """Return files on disk that are no longer what was written."""
        return [
            name
            for name in (POLICY, OVERLAY)
            if self._written(name) not in (None, digest(_read(self._path(name)) or ""))
        ]

    def _written(self, name):
        return (_json(self._path("sluice-written.json")) or {}).get(name)

    def _replace(self, name, text):
        folder = os.stat(self._config)
        # Credentials are digests of long random keys; others than Haraka and root need not read them all the same.
        replace(self._path(name), text, 0o640, (folder.st_uid, folder.st_gid))
        written = _json(self._path("sluice-written.json")) or {}
        replace(self._path("sluice-written.json"), json.dumps({**written, name: digest(text)}), 0o644)

    def _status(self):
        return _json(self._path(STATUS)) or {}

    def _is_alive(self, now):
        try:
            return now - os.stat(self._path(STATUS)).st_mtime < SECONDS_TO_BE_ALIVE
        except OSError:
            return False

    def _path(self, name):
        return os.path.join(self._config, name)


def check(files):
    """Raise InvalidPolicy where the files are not what the compiler writes."""
    if set(files) != {POLICY}:
        raise InvalidPolicy(f"a policy for Haraka has one file, {POLICY}")
    try:
        policy = json.loads(files[POLICY])
        if policy["format"] != 1:
            raise InvalidPolicy(f"{POLICY} has the format {policy['format']}, which this agent does not know")
        _limits(policy)
        _sources(policy)
        _pools(policy)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidPolicy(f"{POLICY} cannot be read: {error!r}") from None


def _limits(policy):
    for limit in policy["limit"]:
        for name in ("rule", "connections", "per_hour"):
            if type(limit[name]) is not int or limit[name] < 0:
                raise InvalidPolicy(f"{POLICY}: {name} cannot be {limit[name]!r}")
    for table in policy["limits"].values():
        for value in _values(table):
            if not 0 <= value < len(policy["limit"]):
                raise InvalidPolicy(f"{POLICY}: there is no limit {value}")


def _sources(policy):
    present = addresses_present()
    for tag, source in policy["sources"].items():
        for address in (source["ip"], source["ipv6"]):
            if address and ipaddress.ip_address(address) not in present:
                raise InvalidPolicy(f"the address {address} is not on this machine")
        _named(source["limits"], policy["limits"], tag)
    for name, entries in policy["draws"].items():
        for tag, weight, unless in entries:
            _named(tag, policy["sources"], name)
            if type(weight) is not int or weight < 0 or not isinstance(unless, list):
                raise InvalidPolicy(f"{POLICY}: the weight of {tag} cannot be {weight!r}")


def _pools(policy):
    for name, pool in policy["pools"].items():
        for value in _values(pool):
            _named(value, policy["draws"], name)
    for name, rules in policy["rules"].items():
        for rule in rules:
            _named(rule["pool"], policy["pools"], name)
    for name, tenant in policy["tenants"].items():
        for key in ("pool", "rules"):
            if tenant[key] is not None:
                _named(tenant[key], policy["pools" if key == "pool" else "rules"], name)


def _values(table):
    return [table["default"], *table["exact"].values(), *table["below"].values()]


def _named(name, table, by):
    if name not in table:
        raise InvalidPolicy(f"{POLICY}: {by} names {name}, which is missing")


def digest(text):
    """Return the SHA-256 of a text."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _read(path):
    try:
        with opened(path) as file:
            return file.read().decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def _json(path):
    """Return the object in a file; None: it has none."""
    text = _read(path)
    try:
        found = json.loads(text) if text else None
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None
