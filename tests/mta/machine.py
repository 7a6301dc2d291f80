"""A machine that is a node: an agent with its MTA in a namespace, receivers to send to, and a panel to obey."""

import contextlib
import json
import os
import pathlib
import shutil
import smtplib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

from tests.mta.disk import SmallDisk
from tests.mta.namespace import Namespace
from tests.mta.receivers import Receivers, Sink
from tests.mta.small_panel import KEY, SmallPanel

AGENT = pathlib.Path(__file__).parents[2] / "agent"
SUBMISSION = ("127.0.0.1", 2587)
# Where `make mta` installs Haraka; outside of the repository.
HARAKA = pathlib.Path(os.environ.get("SLUICE_HARAKA") or pathlib.Path.home() / ".cache/sluice/haraka")
OUTBOUND_INI = "local_mx_ok=true\nenable_tls={}\ntemp_fail_intervals={}\n"


def why_not(kind: str) -> str | None:
    """Return why an MTA cannot be driven here; None: it can."""
    if kind == "postfix":
        if shutil.which("postfix") is None:
            return "there is no Postfix here (Debian: postfix postfix-lmdb)"
        if "lmdb" not in subprocess.run(["postconf", "-m"], capture_output=True, text=True).stdout.split():
            return "this Postfix has no lmdb maps (Debian: postfix-lmdb)"
        return None
    if shutil.which("node") is None:
        return "there is no node here (20 or newer)"
    if not (HARAKA / "node_modules/Haraka").is_dir():
        return f"there is no Haraka in {HARAKA}: `make haraka` installs it by npm"
    return None


class Machine:
    """One node; `close` ends everything that it started."""

    def __init__(
        self,
        inside: Namespace,
        kind: str,
        folder: pathlib.Path,
        receivers: Receivers | None = None,
        *,
        sink: Sink | None = None,
        tries: str = "1m,2m,5m",
        is_encrypting: bool = False,
    ) -> None:
        self.inside, self.kind = inside, kind
        self.folder = folder
        self.state = folder / "state"
        self.receivers = receivers or Receivers(inside, sink)
        self.sink: Sink = self.receivers.sink
        self.panel = SmallPanel(inside)
        self.key_file = folder / "node.key"
        self.key_file.write_text(KEY)
        self.key_file.chmod(0o600)
        # What holds the spool, where a test fills it.
        self.disk: SmallDisk | None = None
        # Another panel than the small one.
        self.url = ""
        self.agent: subprocess.Popen[bytes] | None = None
        self._processes: list[subprocess.Popen[bytes]] = []
        if kind == "haraka":
            # When Haraka tries again (Postfix does after five minutes), and whether it uses STARTTLS (Postfix does).
            self._start_haraka(OUTBOUND_INI.format(str(is_encrypting).lower(), tries))

    # The agent

    def arguments(self, command: str, **more: str) -> list[str]:
        given = {
            "--url": self.url or self.panel.url,
            "--key-file": str(self.key_file),
            "--state": str(self.state),
            "--submission": "{}:{}".format(*SUBMISSION),
            **more,
        }
        if self.kind == "haraka":
            given["--config"] = str(self.folder / "policy")
        return [_python(), str(AGENT / "sluice_agent.py"), command, *(word for pair in given.items() for word in pair)]

    def start_agent(self, **more: str) -> None:
        with open(self.folder / "agent.err", "ab") as errors:
            self.agent = self.inside.start(*self.arguments("run", **more), stdout=errors, stderr=errors)

    def start(self, *command: str, **how: Any) -> None:
        """Start a program that ends with the machine."""
        self._processes.append(self.inside.start(*command, **how))

    def stop_agent(self) -> None:
        """Stop the agent, as an operator does."""
        assert self.agent is not None
        self.agent.terminate()
        assert self.agent.wait(30) == 0
        self.agent = None

    def kill_agent(self) -> None:
        """End the agent as a power cut would, wherever it is."""
        if self.agent is not None:
            self.agent.kill()
            self.agent.wait()
            self.agent = None

    def errors(self) -> str:
        return (self.folder / "agent.err").read_text() if (self.folder / "agent.err").exists() else ""

    def publish(self, document: dict[str, Any], *, seconds: float = 60) -> None:
        """Publish, and wait until the agent has applied it or said why not."""
        seen = len(self.panel.reports)
        self.panel.publish(document)
        self.until(
            lambda: any(_is_about(report, document) for report in self.panel.reports[seen:]), seconds, "a report"
        )

    def obey(self, document: dict[str, Any]) -> None:
        """Publish, and wait until the MTA has been told; the agent still watches what comes of it."""
        self.panel.publish(document)
        if self.kind == "postfix":
            wanted = {"revision": document["revision"], "overlay": document["overlay"]["number"]}
            file = self.state / "postfix/current/of.json"
            self.until(lambda: file.exists() and json.loads(file.read_text()) == wanted, 60, "the new configuration")
            time.sleep(2)
            # Another instance may take mail now.
            self.until(self.answers, 30, "the submission service")
            return
        overlay = json.dumps(document["overlay"], sort_keys=True)
        folder = self.folder / "policy"
        texts = {"sluice-overlay.json": overlay, "sluice.json": document["files"]["sluice.json"]}
        self.until(
            lambda: all(
                (folder / name).exists() and (folder / name).read_text() == text for name, text in texts.items()
            ),
            30,
            "the new policy",
        )
        time.sleep(0.5)

    def report(self) -> dict[str, Any]:
        return self.panel.reports[-1]

    def until(self, is_so: Callable[[], object], seconds: float, what: str | Callable[[], str]) -> float:
        """Wait until something is so, and return how long it took; `what` says what was waited for, or what there is."""
        started = time.monotonic()
        while not is_so():
            if time.monotonic() - started > seconds:
                said = what if isinstance(what, str) else what()
                raise AssertionError(
                    f"{said} did not come within {seconds} s\n{self.errors()[-2000:]}\n{self.log()[-3000:]}"
                )
            time.sleep(0.05)
        return time.monotonic() - started

    def log(self) -> str:
        if self.kind == "haraka":
            path = self.folder / "haraka.log"
            return path.read_text(errors="replace") if path.exists() else ""
        logs = sorted((self.state / "log").glob("*.log")) if (self.state / "log").is_dir() else []
        return "".join(path.read_text(errors="replace") for path in logs)

    # Mail

    @contextlib.contextmanager
    def session(self, server: str | None, password: str = "", source: str = "127.0.0.1") -> Iterator[smtplib.SMTP]:
        """Log in as a mail server (None: without a password)."""
        client = self.inside.inside(lambda: smtplib.SMTP(*SUBMISSION, timeout=60, source_address=(source, 0)))
        try:
            client.ehlo("app.client.example")
            if server is not None:
                client.login(server, password)
            yield client
        finally:
            client.close()

    def forget(self) -> None:
        """Wait for nothing to be on its way, and measure anew."""
        self.until(lambda: not +self.sink.record.open_by, 30, "the end of connections")
        self.sink.forget()
        self.panel.events.clear()

    def answers(self) -> bool:
        """Tell whether mail can be submitted."""
        try:
            with self.session(None):
                return True
        except (OSError, smtplib.SMTPException):
            return False

    def send(self, server: str, password: str, recipients: list[str], *, sender: str = "news@acme.example") -> None:
        """Send a message to each recipient, in one session."""
        with self.session(server, password) as client:
            for number, to in enumerate(recipients):
                client.sendmail(sender, [to], f"Subject: {number}\r\n\r\nhello\r\n")

    # Haraka

    def _start_haraka(self, outbound: str) -> None:
        home, policy = self.folder / "haraka", self.folder / "policy"
        # As `haraka -i` makes a new one.
        shutil.copytree(HARAKA / "node_modules/Haraka/config", home / "config")
        (home / "plugins").mkdir()
        policy.mkdir(exist_ok=True)
        for file in (AGENT / "haraka").glob("*.js"):
            shutil.copy(file, home / "plugins")
        for name, text in {
            "smtp.ini": "listen={}:{}\nnodes=0\n".format(*SUBMISSION),
            "plugins": "sluice\n",
            "me": "mx.client.example\n",
            "loglevel": "NOTICE\n",
            "outbound.ini": outbound,
            "sluice.ini": f"folder={policy}\n",
            "host_list": "",
        }.items():
            (home / "config" / name).write_text(text)
        with open(self.folder / "haraka.log", "ab") as log:
            self._processes.append(
                self.inside.start(
                    "node", str(HARAKA / "node_modules/Haraka/bin/haraka"), "-c", str(home), stdout=log, stderr=log
                )
            )
        self.until(lambda: (policy / "sluice-status.json").exists(), 30, "Haraka")
        # What it does not understand it replaces by its defaults.
        assert "syntax error" not in self.log(), self.log()

    def close(self) -> None:
        self.kill_agent()
        self.inside.end_processes()
        for process in self._processes:
            process.wait()
        self.panel.close()
        self.receivers.close()


def _is_about(report: dict[str, Any], document: dict[str, Any]) -> bool:
    if report.get("revision_seen") == document["revision"] and report["error"]:
        return True
    return (
        report.get("revision_applied") == document["revision"]
        and report.get("overlay_applied") == document["overlay"]["number"]
        and report.get("digest_applied") == document["digest"]
    )


def _python() -> str:
    """Return the machine's own Python: the agent needs no environment."""
    chosen = os.environ.get("SLUICE_AGENT_PYTHON")
    return chosen or shutil.which("python3", path="/usr/bin:/usr/local/bin") or sys.executable


@contextlib.contextmanager
def state_folder() -> Iterator[pathlib.Path]:
    """Make a folder that Postfix's daemons may enter, unlike pytest's own."""
    with tempfile.TemporaryDirectory(prefix="sluice-mta-", dir="/var/tmp") as name:
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        yield folder
