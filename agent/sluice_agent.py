#!/usr/bin/env python3
"""sluice-agent: applies the policy of a Sluice panel to a node's MTA, and reports mail events.

    sluice_agent.py run --url https://sluice.example.com --key-file /etc/sluice/node.key --state /var/lib/sluice-agent

It pulls (no port is opened), keeps the last good policy on disk, and needs Python 3.9, nothing else. `manage.py export_agent`
packs this and the files beside it into one file. What is kept where: agent_postfix.py, agent_haraka.py, agent_spool.py.
"""

from __future__ import annotations

import datetime
import fcntl
import json
import os
import random
import signal
import sqlite3
import sys
import threading
import time

import agent_settings
import agent_sockets
from agent_commands import check, status
from agent_credentials import Ends
from agent_files import read_json, replace
from agent_generation import addresses_present
from agent_grammar import InvalidPolicy, check_document
from agent_haraka import Haraka
from agent_haraka import RolledBack as HarakaRolledBack
from agent_panel import Panel, Refused, Unreachable
from agent_postfix import Postfix, RolledBack
from agent_reading import Known, Reading
from agent_servers import COMMANDS, Servers, serve
from agent_settings import VERSION, BadSettings
from agent_spool import Spool
from agent_suppressions import Suppressions

WAIT = 25
EVENTS_AT_A_TIME = 5000
SECONDS_BETWEEN_REPORTS = 30.0
SECONDS_BETWEEN_TRIES = 60.0
SECONDS_BETWEEN_LISTS = 5.0
LONGEST_PAUSE = 30.0
# Files of each log that were read, and are kept for people.
LOGS_KEPT = 14


class Agent:
    """What the threads share: the settings, the spool, the policy that is wanted and the one that is applied."""

    _done = None
    _failed_at = None
    _complaint = None

    def __init__(self, settings):
        self.settings = settings
        os.makedirs(settings.state, mode=0o755, exist_ok=True)
        self.lock = open(os.path.join(settings.state, "agent.lock"), "a+", encoding="utf-8")  # noqa: SIM115 - held until the end
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise BadSettings(f"another agent is running in {settings.state}") from None
        self.panel = Panel(settings.url, settings.key())
        self.spool = Spool(os.path.join(settings.state, "agent.db"))
        self.stopping = threading.Event()
        self.report_now = threading.Event()
        self.news = threading.Condition()
        self.wanted, self.etag = None, None
        self.applied = read_json(self._path("policy.json"))
        self.error = self.spool.recall("error", "")
        # What a policy that was not proved yet said, too: mail may have left by it.
        kind = self.spool.recall("kind")
        self.driver = self.driver_for(kind) if kind else None
        self.known = Known()
        self.known.learn(read_json(self._path("overlay.json")) or {}, self.spool.recall("addresses", {}))
        self.reading = None
        self.suppressions = Suppressions(self._path("suppressions.db"))
        self.servers = Servers(settings.state)
        # A network that has ended is in Postfix's map until that is written anew.
        self._ends = Ends()

    def _path(self, name):
        return os.path.join(self.settings.state, name)

    def driver_for(self, kind):
        """Return the driver of an MTA. Raises InvalidPolicy for an unknown MTA."""
        if kind == "postfix":
            return Postfix(self.settings.state, self.settings.submission, self.settings.tls_chain)
        if kind == "haraka":
            return Haraka(self.settings.config)
        raise InvalidPolicy(f"this agent does not run {kind}")

    def pull(self, wait):
        """Ask for the policy; what is new is wanted from now on. Returns seconds to pause."""
        document, etag, pause = self.panel.policy(self.etag, wait)
        if document is not None:
            # Where a proxy drops tags or changes them, everything is sent at once each time.
            pause = pause if etag and etag != self.etag else LONGEST_PAUSE
            with self.news:
                self.wanted, self.etag = document, etag
                self.news.notify_all()
        return pause

    def is_interrupted(self, document):
        """Tell whether something newer is wanted than what is being applied."""
        return self.stopping.is_set() or self.wanted is not document

    def apply(self, document):
        """Bring the MTA to this policy; on failure the one before stays, and `error` says why."""
        try:
            check_document(document, self.applied)
            driver = self.driver or self.driver_for(document["kind"])
            self.learn(driver, document)
            driver.prepare()
            # Who may log in does not wait for the MTA's files to be proved.
            self.publish_credentials(driver, document)
            driver.apply(document, time.time(), lambda: self.is_interrupted(document))
        except InvalidPolicy as refusal:
            return self.refuse(f"refused: {refusal}")
        except (RolledBack, HarakaRolledBack) as trouble:
            return self.refuse(f"taken back: {trouble}")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            return self.refuse(f"refused: the policy cannot be read: {error!r}")
        except OSError as error:
            return self.refuse(f"refused: {error}")
        applied = {**document, "applied_at": _now()}
        replace(self._path("policy.json"), json.dumps(applied), 0o600)
        self.applied = applied
        self.listen(driver.sockets(document))
        self.set_error("")
        return True

    def learn(self, driver, document):
        """Remember what the tags of a policy stand for, before mail leaves by it; those of policies before it stay known."""
        addresses = {tag: each["ip"] for tag, each in document["sources"].items()}
        addresses = {**self.spool.recall("addresses", {}), **addresses}
        self.spool.remember("addresses", addresses)
        self.spool.remember("kind", driver.kind)
        self.driver = driver
        self.known.learn(document["overlay"], addresses)

    def refuse(self, sentence):
        """Keep the applied policy, and report the reason."""
        if self.applied:
            self.listen(self.driver.sockets(self.applied))
        self.set_error(sentence)
        return False

    def set_error(self, error):
        """Store the error for the panel ("": none), and report soon."""
        if error and error != self.error:
            print(f"sluice-agent: {error}", file=sys.stderr, flush=True)
        self.error = error
        self.spool.remember("error", error)
        self.report_now.set()

    def start_mta(self):
        """Start what the last good policy says, as after a reboot."""
        if self.driver:
            self.driver.prepare()
            if self.applied:
                self.publish_credentials(self.driver, self.applied)
            try:
                self.driver.start()
            except InvalidPolicy as trouble:
                self.set_error(str(trouble))

    def publish_credentials(self, driver, document):
        """Give the credentials of a policy to the process that answers log-ins, and wait until it listens."""
        replace(self._path("overlay.json"), json.dumps(document["overlay"]), 0o600)
        sockets = set(driver.sockets(document))
        self.listen(sorted(sockets.union(driver.sockets(self.applied) if self.applied else ())))
        self.servers.ensure()
        agent_sockets.wait_for(sockets)

    def listen(self, sockets):
        """Tell the servers beside the agent which sockets to listen on."""
        # After one round nobody keeps the lists up to date: mail is taken then.
        stops = [] if self.settings.command == "once" else self.driver.stop_sockets(sockets)
        self.servers.want(sockets, stops)

    def read_log(self):
        """Read a piece of the MTA's log; tell whether there was anything."""
        if self.driver is None:
            return False
        if self.reading is None:
            self.reading = Reading(
                self.spool, self.driver.logs, self.driver.kind, self.settings.spool_limit, self.known, time.time()
            )
        return self.reading.once()

    def send_events(self):
        """Send the oldest events; tell whether there were any."""
        rows = self.spool.batch(EVENTS_AT_A_TIME)
        if not rows:
            return False
        refused = self.panel.events([body for _, body in rows])
        self.spool.answered(
            rows, [(rows[index], code, message) for index, code, message in refused if index < len(rows)]
        )
        return True

    def pull_suppressions(self):
        """Ask for what changed in the suppression lists; tell whether there is more at once."""
        try:
            answer = self.panel.suppressions(self.suppressions.have(time.time()))
        except Refused as error:
            # No revision yet, or a panel of before there were lists.
            if error.status == 404:
                return False
            raise
        self.suppressions.take(answer, time.time())
        return not answer["is_complete"]

    def report(self):
        """Tell the panel how things are."""
        self.panel.report(self.status())

    def status(self):
        """Return how things are, as the report says it."""
        count, oldest = self.spool.waiting()
        driver, applied = self.driver, self.applied
        return {
            "version": VERSION,
            "mta_version": driver.version() if driver else "",
            "revision_seen": self.wanted["revision"] if self.wanted else self.spool.recall("revision_seen"),
            "revision_applied": applied["revision"] if applied else None,
            "digest_applied": applied["digest"] if applied else "",
            "overlay_applied": applied["overlay"]["number"] if applied else None,
            "applied_at": applied["applied_at"] if applied else None,
            "error": self.error,
            "addresses_present": sorted(str(each) for each in addresses_present()),
            "spool_events": count,
            "oldest_event": oldest,
            "events_refused": self.spool.recall("events_refused", 0),
            "log_position": self.reading.position() if self.reading else "",
            "queue": driver.queue() if driver else {"active": 0, "deferred": 0},
            "drift": driver.drift() if driver else [],
            **self.suppressions.told(),
            "logins": (driver and driver.logins()) or {"accepted": 0, "refused": 0},
        }

    # The threads of `run`

    def pulling(self):
        """Ask for the policy, again and again."""
        pause = self.pull(0 if self.etag is None else WAIT)
        self.stopping.wait(pause)

    def applying(self):
        """Apply what is wanted; try again by and by what could not be applied."""
        with self.news:
            document = self.wanted
        if document is not None and document is not self._done:
            self._done = document
            self._failed_at = None if self.apply(document) else time.monotonic()
            self.spool.remember("revision_seen", document.get("revision"))
        elif self._failed_at is not None and time.monotonic() - self._failed_at > SECONDS_BETWEEN_TRIES:
            self._done = None
        elif self.applied and self._ends.passed(self.applied["overlay"], time.time()):
            self._done = None
            with self.news:
                self.wanted = self.wanted or {key: value for key, value in self.applied.items() if key != "applied_at"}
        else:
            if self.driver:
                self.driver.maintain()
                self.servers.ensure()
            with self.news:
                if self.wanted is document:
                    self.news.wait(0.5)

    def reading_on(self):
        """Read the log."""
        if not self.read_log():
            self.stopping.wait(0.2)

    def sending(self):
        """Send events."""
        if not self.send_events():
            self.stopping.wait(0.2)

    def suppressing(self):
        """Keep the suppression lists."""
        if not self.pull_suppressions():
            self.stopping.wait(SECONDS_BETWEEN_LISTS)

    def reporting(self):
        """Report after each change, and now and then."""
        if not self.report_now.wait(SECONDS_BETWEEN_REPORTS) and self.reading:
            self.reading.forget_read(LOGS_KEPT)
        self.report_now.clear()
        if not self.stopping.is_set():
            self.report()

    def repeat(self, step):
        """Repeat a step; after each failure, wait longer, up to half a minute."""
        pause = 0.5
        while not self.stopping.is_set():
            try:
                step()
                pause = 0.5
                continue
            except Unreachable as error:
                self.log_error(error)
                # All nodes at once would keep a panel that comes back from coming back.
                self.stopping.wait(error.retry_after or pause * random.uniform(0.7, 1.3))
                pause = min(pause * 2, LONGEST_PAUSE)
            except Exception as error:
                self.log_error(error)
                self.stopping.wait(pause)
                pause = min(pause * 2, LONGEST_PAUSE)

    def log_error(self, error):
        """Write an error to the journal, once."""
        if str(error) != self._complaint:
            self._complaint = str(error)
            print(f"sluice-agent: {error}", file=sys.stderr, flush=True)

    def run(self):
        """Work until a signal. The MTA continues."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.stopping.set())
        self.start_mta()
        threads = [
            threading.Thread(target=self.repeat, args=(step,), daemon=True)
            for step in (self.pulling, self.applying, self.reading_on, self.sending, self.suppressing, self.reporting)
        ]
        for thread in threads:
            thread.start()
        while not self.stopping.wait(0.5):
            pass
        self.report_now.set()
        with self.news:
            self.news.notify_all()
        # An act on the MTA is finished; a request to the panel is not waited for.
        threads[1].join(30)
        return 0

    def once(self):
        """Do one round."""
        self.start_mta()
        try:
            self.pull(0)
        except (Unreachable, Refused) as error:
            print(f"sluice-agent: {error}", file=sys.stderr)
            return 1
        fine = self.wanted is None or self.apply(self.wanted)
        while self.read_log():
            pass
        try:
            while self.send_events():
                pass
            while self.pull_suppressions():
                pass
            self.report()
        except (Unreachable, Refused) as error:
            print(f"sluice-agent: {error}", file=sys.stderr)
            return 1
        return 0 if fine else 1


def _now():
    return datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds").replace("+00:00", "Z")


def main(arguments):
    """Return the status of a command."""
    if len(arguments) == 2 and arguments[0] in COMMANDS:
        # Started by the agent, beside it.
        serve(*arguments)
        return 0
    try:
        settings = agent_settings.read(arguments)
        if settings.command == "check":
            return check(settings)
        if settings.command == "status":
            return status(settings)
        agent = Agent(settings)
        return agent.run() if settings.command == "run" else agent.once()
    except BadSettings as error:
        print(f"sluice-agent: {error}", file=sys.stderr)
        return 2
    except (OSError, sqlite3.Error) as error:
        # The disk is full, or a folder cannot be entered: systemd starts it again.
        print(f"sluice-agent: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
