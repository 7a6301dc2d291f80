"""The agent's command line and environment variables. Python 3.9, standard library only."""

from __future__ import annotations

import argparse
import os
import re
import stat
from dataclasses import dataclass

from agent_panel import check_url

VERSION = "1.0"
PREFIX = "SLUICE_AGENT_"


class BadSettings(Exception):
    """A setting is missing or wrong, and which."""


@dataclass
class Settings:
    """The settings of all commands."""

    command: str
    url: str
    key_file: str
    state: str
    submission: str
    spool_limit: int
    config: str
    tls_chain: str

    def key(self):
        """Return the node's key. Raises BadSettings where others may read its file."""
        try:
            mode = os.stat(self.key_file).st_mode
            if not stat.S_ISREG(mode):
                raise BadSettings(f"{self.key_file} is not a file")
            if stat.S_IMODE(mode) & 0o177:
                raise BadSettings(
                    f"{self.key_file} has mode {stat.S_IMODE(mode):04o}: the key's file must have mode 0600"
                )
            with open(self.key_file, encoding="ascii") as file:
                key = file.read().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise BadSettings(f"the key's file {self.key_file} cannot be read: {error}") from None
        if not re.fullmatch(r"[\x21-\x7e]{16,200}", key):
            raise BadSettings(f"{self.key_file} does not hold a key")
        return key


def read(arguments):
    """Return the settings of a command line; what it does not say is in the environment."""
    parser = argparse.ArgumentParser(
        prog="sluice_agent.py",
        description="Applies a Sluice panel's policy to this machine's MTA, and reports mail events.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="run|once|check|status")
    for name, what in (
        ("run", "pull, apply, read and report until stopped"),
        ("once", "do one round of pull, apply, read and report"),
        ("check", "check the requirements of this machine"),
        ("status", "print the state as one JSON object"),
    ):
        command = commands.add_parser(name, help=what, description=what)
        for flag, text in (
            ("--url", "the panel's address, https://…"),
            ("--key-file", "a file of mode 0600 with the node's key"),
            ("--state", "the agent's folder"),
            ("--submission", "ADDRESS:PORT where customers submit mail (Postfix; default 127.0.0.1:587)"),
            ("--spool-limit", "unsent events after which reading the log pauses (200000)"),
            ("--config", "where Haraka's plug-in reads its policy (STATE/haraka)"),
            ("--tls-chain", "a PEM file with key and certificates for the submission service"),
        ):
            command.add_argument(
                flag, help=text, default=os.environ.get(PREFIX + flag[2:].replace("-", "_").upper(), "")
            )
    given = parser.parse_args(arguments)
    if not given.state:
        raise BadSettings("the agent's folder is not set: give --state or SLUICE_AGENT_STATE")
    settings = Settings(
        given.command,
        given.url,
        given.key_file,
        os.path.abspath(given.state),
        given.submission,
        _spool_limit(given.spool_limit or "200000"),
        os.path.abspath(given.config or os.path.join(given.state, "haraka")),
        os.path.abspath(given.tls_chain) if given.tls_chain else "",
    )
    if given.command != "status":
        if not settings.url:
            raise BadSettings("the panel's URL is not set: give --url or SLUICE_AGENT_URL")
        if wrong := check_url(settings.url):
            raise BadSettings(wrong)
        if not settings.key_file:
            raise BadSettings("the node's key file is not set: give --key-file or SLUICE_AGENT_KEY_FILE")
    if settings.submission and not re.fullmatch(
        r"(?:(?:\d{1,3}\.){3}\d{1,3}|\[[0-9a-fA-F:]+\]):\d{1,5}", settings.submission
    ):
        raise BadSettings("--submission must be like 203.0.113.10:587 or [2001:db8::10]:587")
    return settings


def _spool_limit(text):
    if not text.isdigit() or int(text) < 1:
        raise BadSettings("--spool-limit must be a number of events, 1 or more")
    return int(text)
