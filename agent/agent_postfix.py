"""Driver for Postfix: runs the policy in Postfix instances of its own, without touching other instances.

    STATE/postfix/current -> generations/000007     what the instances read, switched by one rename
    STATE/postfix/queue/INSTANCE, data/INSTANCE     what they keep
    STATE/log/INSTANCE.log                          what they write, and the agent reads

Python 3.9, standard library only.
"""

from __future__ import annotations

import json
import os
import pwd
import re
import shutil
import socket
import time

import agent_grammar
from agent_generation import (
    Place,
    addresses_present,
    files_of,
    instances,
    is_changed,
    is_loopback,
    is_retired,
    read,
    run,
    takes_mail,
    validate,
    write,
)
from agent_grammar import InvalidPolicy
from agent_watch import Watch

SECONDS_OF_WATCH = 10.0
LEAST_SECONDS_OF_WATCH = 2.0
SECONDS_FOR_A_PORT = 5.0
LARGEST_LOG = 64 * 1024 * 1024
LOG = re.compile(r"(?:front|pool-\d+)\.log")
GENERATIONS_KEPT = 3
MOST_SINGLE_FLUSHES = 100
TROUBLE = re.compile(
    r"(?: fatal: | panic: |bad command startup|mail transport unavailable|unknown mail transport error|lookup error|"
    r"Server configuration (?:error|problem)|unsupported dictionary|warning: process \S+ pid \d+ exit status|"
    r"server configuration error)"
)
OF_AN_INSTANCE = re.compile(r"sluice-(?:front|pool-\d+|a\d+-r\d+)/|/(?:postfix-script|master|postlog)\[")
# Said while daemons end and start again.
HARMLESS = re.compile(r"postlogd|watchdog")


class RolledBack(Exception):
    """The policy was applied, and taken back, and why."""


class Postfix:
    """The node's Postfix instances."""

    kind = "postfix"

    def __init__(self, state, submission="", tls_chain=""):
        self._base = os.path.join(state, "postfix")
        self._state = state
        self._logs = os.path.join(state, "log")
        self._current = os.path.join(self._base, "current")
        self._place = Place(self._base, self._logs, submission, tls_chain)

    def prepare(self):
        """Make the folders; daemons reach theirs by their working directory, readers of the log by this path."""
        for path in (self._state, self._base, os.path.join(self._base, "generations"), self._logs):
            os.makedirs(path, mode=0o755, exist_ok=True)

    def missing(self):
        """Return sentences about what this machine lacks."""
        found = [
            f"there is no {program}: install Debian's package `postfix`"
            for program in ("postfix", "postconf", "postmap", "postqueue")
            if shutil.which(program) is None
        ]
        if not found:
            maps = run("postconf", "-m")[1].split()
            for needed in ("lmdb", "pipemap", "randmap", "cidr", "static"):
                if needed not in maps:
                    package = "postfix-lmdb" if needed == "lmdb" else "postfix, 3.7 or newer"
                    found.append(f"this Postfix has no {needed} maps: install Debian's package {package}")
            if tuple(int(part) for part in re.findall(r"\d+", self.version())[:2]) < (3, 7):
                found.append("this Postfix is older than 3.7, which cannot be bound to a source address")
        if os.geteuid() != 0:
            found.append("the agent must be root to run Postfix")
        return found + self._missing_here()

    def _missing_here(self):
        found = []
        if closed := self._closed_folder():
            found.append(f"Postfix's user cannot enter {closed}, where the agent's folder is: it needs mode 0755")
        if self._place.tls_chain and not os.path.isfile(self._place.tls_chain):
            found.append(f"the certificate {self._place.tls_chain} does not exist")
        if self._place.submission and not is_loopback(self._place.submission) and not self._place.tls_chain:
            found.append("without a certificate (--tls-chain) clients cannot authenticate from other machines")
        return found

    def version(self):
        """Return Postfix's version."""
        return run("postconf", "-dh", "mail_version")[1].strip()

    def apply(self, document, now, interrupted):
        """Switch to the policy. Raises InvalidPolicy (nothing was changed) or RolledBack."""
        if closed := self._closed_folder():
            raise InvalidPolicy(
                f"Postfix's user cannot enter {closed}, where the agent's folder is: it needs mode 0755"
            )
        files = files_of(document)
        present = addresses_present()
        agent_grammar.check(files, document["sources"], present)
        folder = write(self._place, files, self._retired(files), document, now)
        try:
            validate(folder)
        except InvalidPolicy:
            shutil.rmtree(folder)
            raise
        before = self._target()
        watch = Watch(self.logs)
        self._switch(folder)
        try:
            self._bring_up(before, folder)
            self._watch(watch, interrupted)
        except InvalidPolicy as trouble:
            watch.lines()
            said = [line[16:] for line in watch.seen if ": fatal: " in line and line[16:] not in str(trouble)]
            self._take_back(before, folder)
            raise RolledBack(": ".join([str(trouble), *said[:1]])) from None
        self._mark_good(folder)
        self._flush_waiting(before, folder)
        self._forget_old()

    def start(self):
        """Start what should run, as after a reboot; what was not proved when the agent was killed is taken back."""
        folder, good = self._target(), self._good()
        if folder and good and folder != good:
            self._take_back(good, folder)
        elif folder:
            self._bring_up(folder, folder)
        self._remove_leftovers()

    def maintain(self):
        """Stop retired instances whose queue is empty, and rotate large logs."""
        folder = self._target()
        for name in instances(folder):
            is_left = is_retired(folder, name) and self._runs(name)
            if is_left and not run("postqueue", "-c", self._config(name), "-j")[1].strip():
                run("postfix", "-c", self._config(name), "stop")

        for name in instances(folder):
            log = os.path.join(self._logs, f"{name}.log")
            if os.path.exists(log) and os.path.getsize(log) > LARGEST_LOG:
                run("postfix", "-c", self._config(name), "logrotate")

    def logs(self):
        """Return what is read: the front's log first, whose lines say whose mail it is."""
        names = os.listdir(self._logs) if os.path.isdir(self._logs) else ()
        # There may be none but rotated ones, until an instance has something to say.
        found = {match[0] for match in map(LOG.match, names) if match}
        return [os.path.join(self._logs, name) for name in sorted(found)]

    def sockets(self, document):
        """Return where Postfix will ask about log-ins, by the policy; the folders are made."""
        found = []
        owner = pwd.getpwnam(run("postconf", "-dh", "mail_owner")[1].strip()).pw_uid
        for path, text in sorted(files_of(document).items()):
            if path.endswith("/master.cf") and "smtpd_sasl_auth_enable=yes" in text:
                folder = os.path.join(self._base, "queue", path.partition("/")[0], "private")
                if not os.path.isdir(folder):
                    os.makedirs(folder, mode=0o755)
                    os.chmod(folder, 0o700)
                    os.chown(folder, owner, -1)
                found.append(os.path.join(folder, "sluice-auth"))
        return found

    def stop_sockets(self, sockets):
        """Return where Postfix will ask about recipients: beside the sockets for log-ins."""
        return [os.path.join(os.path.dirname(path), "sluice-milter") for path in sockets]

    def logins(self):
        """Return how many log-ins were accepted and refused, as the process says that decides."""
        try:
            return json.loads(read(os.path.join(self._state, "logins.json")))
        except ValueError:
            return None

    def queue(self):
        """Return how many messages wait, over all instances."""
        found = {"active": 0, "deferred": 0}
        root = os.path.join(self._base, "queue")
        for name in os.listdir(root) if os.path.isdir(root) else ():
            for kind in found:
                for _, _, files in os.walk(os.path.join(root, name, kind)):
                    found[kind] += len(files)
        return found

    def drift(self):
        """Return files on disk that are no longer what was written."""
        folder = self._target()
        if not folder:
            return []
        written = json.loads(read(os.path.join(folder, "written.json")) or "{}")
        return sorted(name for name, text in written.items() if read(os.path.join(folder, name)) != text)

    def _closed_folder(self):
        """Return a folder above the agent's that Postfix's daemons cannot pass."""
        path = self._base
        while path != os.path.dirname(path):
            path = os.path.dirname(path)
            if os.path.isdir(path) and not os.stat(path).st_mode & 0o001:
                return path
        return None

    def _retired(self, files):
        """Return the files of instances that the policy no longer has and that still hold mail: they take none, and send."""
        folder = self._target()
        kept = {}
        for name in instances(folder):
            if f"{name}/main.cf" in files or not self._runs(name):
                continue
            if not run("postqueue", "-c", self._config(name), "-j")[1].strip():
                continue
            for file in os.listdir(os.path.join(folder, name)):
                if not file.endswith(".lmdb"):
                    kept[f"{name}/{file}"] = read(os.path.join(folder, name, file))
            kept[f"{name}/master.cf"] = re.sub(
                r"(?m)^\S+ inet .*smtpd_sasl_auth_enable.*\n", "", kept[f"{name}/master.cf"]
            )
            kept[f"{name}/retired"] = ""
        return kept

    # Switching.

    def _switch(self, folder):
        beside = self._current + ".new"
        if os.path.lexists(beside):
            os.unlink(beside)
        os.symlink(os.path.relpath(folder, self._base), beside)
        os.replace(beside, self._current)

    def _bring_up(self, before, folder):
        names = instances(folder)
        for name in instances(before) if before else ():
            if name not in names and self._runs(name):
                # Its files are gone from `current`: by its own old folder.
                run("postfix", "-c", os.path.join(before, name), "stop")
        # Who takes mail from customers comes last: another instance may have to give up the port before.
        for name in sorted(names, key=lambda each: (takes_mail(folder, each), each)):
            if takes_mail(folder, name) and not (before and takes_mail(before, name)):
                self._wait_for_port()
            if not self._runs(name):
                for kind in ("queue", "data"):
                    self._make(kind, name)
                status, out, err = run("postfix", "-c", self._config(name), "start")
                if status:
                    raise InvalidPolicy(f"{name} does not start: {_last_line(err or out)}")
            elif before != folder and is_changed(before, folder, name):
                status, out, err = run("postfix", "-c", self._config(name), "reload")
                if status:
                    raise InvalidPolicy(f"{name} does not read its new configuration: {_last_line(err or out)}")

    def _wait_for_port(self):
        """Wait until the submission port is free; master(8) closes a socket some time after a reload."""
        host, _, port = (self._place.submission or "127.0.0.1:587").rpartition(":")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        deadline = time.monotonic() + SECONDS_FOR_A_PORT
        while time.monotonic() < deadline:
            with socket.socket(family) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((host.strip("[]"), int(port)))
                    return
                except OSError:
                    time.sleep(0.1)

    def _make(self, kind, name):
        path = os.path.join(self._base, kind, name)
        os.makedirs(path, mode=0o755, exist_ok=True)
        if kind == "data":
            os.chown(path, pwd.getpwnam(run("postconf", "-dh", "mail_owner")[1].strip()).pw_uid, -1)

    def _watch(self, watch, interrupted):
        """Read what Postfix writes, and raise InvalidPolicy at the first trouble."""
        started = time.monotonic()
        while True:
            seconds = time.monotonic() - started
            for line in watch.lines():
                if TROUBLE.search(line) and OF_AN_INSTANCE.search(line) and not HARMLESS.search(line):
                    raise InvalidPolicy(f"Postfix reports: {line[16:].strip()}")
            if seconds > SECONDS_OF_WATCH or (seconds > LEAST_SECONDS_OF_WATCH and interrupted()):
                return
            for name in instances(self._target()):
                if not is_retired(self._target(), name) and not self._runs(name):
                    raise InvalidPolicy(f"{name} ended")
            time.sleep(0.2)

    def _take_back(self, before, folder):
        if before:
            self._switch(before)
            for name in instances(folder):
                if name not in instances(before):
                    run("postfix", "-c", os.path.join(folder, name), "stop")
            self._bring_up(folder, before)
        else:
            for name in instances(folder):
                run("postfix", "-c", os.path.join(folder, name), "stop")
            os.unlink(self._current)
        shutil.rmtree(folder, ignore_errors=True)

    def _flush_waiting(self, before, folder):
        """Try mail again that waited for a pause which is over."""
        for name in instances(folder):
            old = read(os.path.join(before, name, "main.cf")) if before else ""
            new = read(os.path.join(folder, name, "main.cf"))
            if old.count("{waiting:}") <= new.count("{waiting:}"):
                continue
            config = self._config(name)
            waiting = []
            for line in run("postqueue", "-c", config, "-j")[1].splitlines():
                message = json.loads(line)
                if any(
                    "(deferred transport)" in each.get("delay_reason", "")
                    or each.get("delay_reason") == "deferred transport"
                    for each in message["recipients"]
                ):
                    waiting.append(message["queue_id"])
            if len(waiting) > MOST_SINGLE_FLUSHES:
                run("postqueue", "-c", config, "-f")
            else:
                for queue_id in waiting:
                    run("postqueue", "-c", config, "-i", queue_id)

    def _forget_old(self):
        root = os.path.join(self._base, "generations")
        now = os.path.basename(self._target())
        for name in sorted(os.listdir(root))[:-GENERATIONS_KEPT]:
            if name != now:
                shutil.rmtree(os.path.join(root, name), ignore_errors=True)

    def _remove_leftovers(self):
        """Remove what an agent that was killed left half written."""
        root = os.path.join(self._base, "generations")
        now = os.path.basename(self._target() or "")
        for name in os.listdir(root) if os.path.isdir(root) else ():
            if now and name > now:
                shutil.rmtree(os.path.join(root, name), ignore_errors=True)

    def _mark_good(self, folder):
        with open(os.path.join(self._base, "good.new"), "w", encoding="utf-8") as file:
            file.write(os.path.relpath(folder, self._base))
        os.replace(os.path.join(self._base, "good.new"), os.path.join(self._base, "good"))

    def _good(self):
        name = read(os.path.join(self._base, "good"))
        folder = os.path.join(self._base, name) if name else None
        return folder if folder and os.path.isdir(folder) else None

    # Looking.

    def _target(self):
        try:
            return os.path.join(self._base, os.readlink(self._current))
        except OSError:
            return None

    def _config(self, name):
        return os.path.join(self._current, name)

    def _runs(self, name):
        """Tell whether the instance's master runs: it holds a lock on its file while it does."""
        path = os.path.join(self._base, "queue", name, "pid", "master.pid")
        try:
            pid = int(read(path).strip() or 0)
            with open(f"/proc/{pid}/comm", encoding="utf-8") as file:
                return file.read().strip() == "master"
        except (OSError, ValueError):
            return False


def _last_line(text):
    lines = text.strip().splitlines()
    return lines[-1] if lines else "without a word"
