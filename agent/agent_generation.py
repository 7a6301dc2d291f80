"""A generation of Postfix's files: written beside the running one, completed with local settings, and checked by Postfix.

Python 3.9, standard library only.
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
import subprocess

from agent_credentials import Logins
from agent_grammar import InvalidPolicy

# What stops suppressed recipients, asked by the service that customers submit to. Where it is away, mail is taken.
MILTER = (
    " -o smtpd_milters=unix:private/sluice-milter -o milter_default_action=accept -o milter_protocol=6"
    " -o milter_connect_timeout=3s -o milter_command_timeout=5s"
)


class Place:
    """What is of this machine: where Postfix keeps its queues and its log, where customers submit mail, the certificate."""

    def __init__(self, base, logs, submission, tls_chain):
        self.base, self.logs, self.submission, self.tls_chain = base, logs, submission, tls_chain

    def settings(self, name):
        """Return the end of an instance's main.cf."""
        loopback = not self.submission or is_loopback(self.submission)
        lines = [
            "# What is of this machine",
            # Times in the log are UTC: they are read by a program.
            "import_environment = MAIL_CONFIG MAIL_DEBUG MAIL_LOGTAG TZ=UTC LANG=C POSTLOG_SERVICE POSTLOG_HOSTNAME",
            f"queue_directory = {self.base}/queue/{name}",
            f"data_directory = {self.base}/data/{name}",
            f"maillog_file = {self.logs}/{name}.log",
            f"maillog_file_prefixes = {self.logs}",
            # It compresses a second after the rename, also a file that is still written to. The agent compresses.
            "maillog_file_compressor = true",
            # A password in the clear never leaves the machine.
            f"smtpd_tls_auth_only = {'no' if loopback else 'yes'}",
        ]
        if self.tls_chain:
            lines += [f"smtpd_tls_chain_files = {self.tls_chain}", "smtpd_tls_security_level = may"]
        return "\n".join(lines) + "\n"


def write(place, files, retired, document, now):
    """Write the files into a folder of their own, and return it; `retired` are of instances that only send what they hold."""
    root = os.path.join(place.base, "generations")
    number = max([int(name) for name in os.listdir(root) if name.isdigit()] or [0]) + 1
    folder = os.path.join(root, f"{number:06d}")
    written = dict(retired)
    for path, text in files.items():
        name, _, kind = path.partition("/")
        if kind == "main.cf":
            text += place.settings(name)
        elif kind == "master.cf":
            text = re.sub(r"(?m)^(127\.0\.0\.1:587 inet .*)$", rf"\1{MILTER}", text)
            if place.submission:
                text = re.sub(r"(?m)^127\.0\.0\.1:587 inet", f"{place.submission} inet", text)
        elif kind == "networks":
            text += _networks(document["overlay"], files.get(f"{name}/tenants", ""), now)
        written[path] = text
    for path, text in sorted(written.items()):
        os.makedirs(os.path.join(folder, os.path.dirname(path)), mode=0o755, exist_ok=True)
        with open(os.path.join(folder, path), "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(os.path.join(folder, path), 0o644)
    of = {"revision": document["revision"], "overlay": document["overlay"]["number"]}
    for name, value in (("written.json", written), ("of.json", of)):
        with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
            json.dump(value, file)
    return folder


def _networks(overlay, tenants, now):
    """Return the clients that need no password, with what is done with their mail, the narrowest network first."""
    verdicts = dict(line.split(" ", 1) for line in tenants.split("\n") if line and line[0] != "#")
    return "".join(
        f"{network} {verdicts[server]}\n" for network, server in Logins(overlay).networks(now) if server in verdicts
    )


def validate(folder):
    """Make the maps, and let Postfix's own tools read everything. Raises InvalidPolicy at the first word of complaint."""
    for name in instances(folder):
        config = os.path.join(folder, name)
        maps = sorted(set(re.findall(r"lmdb:\$config_directory/([\w.-]+)", read(os.path.join(config, "main.cf")))))
        if maps:
            _quietly("postmap", "-c", config, *(f"lmdb:{os.path.join(config, each)}" for each in maps))
        for flag in ("-n", "-M"):
            _quietly("postconf", "-c", config, flag)
        for each in maps:
            _probe(config, each)
        if os.path.exists(os.path.join(config, "networks")):
            _quietly("postmap", "-c", config, "-q", "127.0.0.1", f"cidr:{os.path.join(config, 'networks')}")
        draws = run("postconf", "-c", config, "-xh", "transport_maps", "sender_dependent_default_transport_maps")[1]
        for each in sorted(set(re.findall(r"randmap:\{[^}]*\}", draws))):
            if not _quietly("postmap", "-c", config, "-q", "probe", each).strip():
                raise InvalidPolicy(f"{name}: a weighted choice of transports returns nothing")


def _probe(config, name):
    """See that a map answers its first key with its first value."""
    lines = [line for line in read(os.path.join(config, name)).split("\n") if line and line[0] != "#"]
    key, _, value = (lines[0] if lines else "probe.invalid ").partition(" ")
    answer = _quietly("postmap", "-c", config, "-q", key, f"lmdb:{os.path.join(config, name)}").strip()
    if answer != value:
        raise InvalidPolicy(f"the map {os.path.basename(config)}/{name} answers {answer!r} for {key!r}, not {value!r}")


def _quietly(*command):
    """Run, and return what it says; a word on stderr is an error, as is a status that says so."""
    status, out, err = run(*command)
    if err.strip() or status > (1 if "-q" in command else 0):
        raise InvalidPolicy(f"{command[0]}: {(err.strip() or out.strip() or f'status {status}').splitlines()[0]}")
    return out


def files_of(document):
    """Return what is on the machine: the revision's files, overwritten by the overlay's."""
    files = {**document["files"], **(document["overlay"].get("files") or {})}
    return {path: text for path, text in files.items() if text is not None}


def instances(folder):
    """Return the names of a generation's instances."""
    return sorted(name for name in os.listdir(folder) if os.path.isdir(os.path.join(folder, name))) if folder else []


def takes_mail(folder, name):
    """Tell whether an instance takes mail from customers."""
    return "smtpd_sasl_auth_enable=yes" in read(os.path.join(folder, name, "master.cf"))


def is_retired(folder, name):
    """Tell whether an instance only sends what it holds."""
    return os.path.exists(os.path.join(folder, name, "retired"))


def is_changed(before, folder, name):
    """Tell whether an instance's files differ in more than the revision's number."""
    if before is None or not os.path.isdir(os.path.join(before, name)):
        return True
    return _texts(os.path.join(before, name)) != _texts(os.path.join(folder, name))


def _texts(folder):
    return {
        name: re.sub(r"\A# Sluice revision .*\n", "", read(os.path.join(folder, name)))
        for name in os.listdir(folder)
        if not name.endswith(".lmdb")
    }


def addresses_present():
    """Return the addresses of this machine."""
    return {
        ipaddress.ip_address(each["local"])
        for link in json.loads(run("ip", "-j", "addr")[1] or "[]")
        for each in link.get("addr_info", ())
        if "local" in each
    }


def is_loopback(submission):
    """Tell whether ADDRESS:PORT is on the loopback."""
    try:
        return ipaddress.ip_address(submission.rpartition(":")[0].strip("[]")).is_loopback
    except ValueError:
        return False


def run(*command):
    """Run a program, and return (status, what it says, its complaints)."""
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            env={**os.environ, "TZ": "UTC"},
        )
    except FileNotFoundError:
        return 127, "", f"{command[0]} is not installed"
    return done.returncode, done.stdout, done.stderr


def read(path):
    """Return a file's text; "" where it cannot be read."""
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError:
        return ""
