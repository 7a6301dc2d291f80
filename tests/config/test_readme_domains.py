"""The README's story of a domain, pasted into a shell: a real panel, a real worker, a real DNS server."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tools import panel, processes

pytestmark = [pytest.mark.server, pytest.mark.live]

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 60
# What the test does itself, or leaves out: the panel runs without the static files, whose compressing takes 20 s.
OWN = ("make install-test", "make run", "until curl", "export SLUICE_DATA_DIR", "kill $PANEL", "unset")
OK = {"status": "OK", "error": None}


class Story:
    """The shell into which the README is pasted: its folder, port and DNS server are the test's."""

    def __init__(self, sluice: panel.Panel, dns_port: int) -> None:
        self.sluice, self.dns_port = sluice, dns_port

    def paste(self, *blocks: str) -> list[dict[str, Any]]:
        """Run the blocks in one shell, end what they left in the background, and return the JSON that they printed."""
        lines = [line for block in blocks for line in block.splitlines() if not line.startswith(OWN)]
        script = "\n".join(lines)
        for printed, real in (
            ("/tmp/sluice-dns", self.sluice.environment["SLUICE_DATA_DIR"]),
            ("http://localhost:8001", self.sluice.url),
            (".venv/bin/python", sys.executable),
            ("example.zone & DNS", f"example.zone --port {self.dns_port} & DNS"),
        ):
            assert printed in script, printed
            script = script.replace(printed, real)
        done = subprocess.run(
            ["bash", "-euo", "pipefail"],
            input=f"trap 'kill $DNS' EXIT\n{script}\n",
            cwd=ROOT,
            env=self.sluice.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE * 2,
        )
        assert done.returncode == 0, done.stderr
        return [*documents(done.stdout)]


def documents(text: str) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects among other lines, each of which begins with a brace on a line of its own."""
    decoder = json.JSONDecoder()
    for start in re.finditer(r"^\{$", text, re.MULTILINE):
        yield decoder.raw_decode(text, start.start())[0]


def blocks() -> list[str]:
    """Return what the section tells a reader to paste."""
    section = (ROOT / "README.md").read_text().split("## Domains, checked against DNS\n")[1].split("\n## ")[0]
    return re.findall(r"```bash\n(.*?)```", section, re.DOTALL)


@pytest.fixture
def story(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Story]:
    dns_port = processes.free_port()
    monkeypatch.setenv("SLUICE_DNS_SERVERS", f"127.0.0.1:{dns_port}")
    with panel.running(tmp_path, worker=True, static=False) as sluice:
        yield Story(sluice, dns_port)


def test_the_story_is_true_as_printed(story: Story) -> None:
    start, publish, break_, end = blocks()
    assert end.startswith("kill $PANEL $DNS")
    created, verified, shown, broken = story.paste(start, publish, break_)

    assert created["status"] == "success"
    assert not created["data"]["domain"]["verified"]
    assert [each["purpose"] for each in created["data"]["dns_records"]] == [
        "verification", "spf", "dkim", "return_path", "mx", "dmarc",
    ]  # fmt: skip
    assert verified["status"] == "success"
    assert verified["data"]["domain"]["verified"] is True
    assert verified["data"]["domain"]["dns_checks"] == dict.fromkeys(("spf", "dkim", "return_path", "mx", "dmarc"), OK)
    [domain] = shown["data"]["server"]["domains"]
    assert domain["verified"] is True
    assert [domain[f"{check}_status"] for check in ("spf", "dkim", "mx", "return_path")] == ["OK"] * 4
    sentence = "rp.example.com leads to elsewhere.postal. Publish the CNAME rp.example.com → rp.postal."
    assert broken["data"]["domain"]["dns_checks"] == dict.fromkeys(("spf", "dkim", "mx", "dmarc"), OK) | {
        "return_path": {"status": "Invalid", "error": sentence}
    }
    printed = (ROOT / "README.md").read_text().replace("\n", " ")
    assert f'"return_path": {json.dumps({"status": "Invalid", "error": sentence}, ensure_ascii=False)}' in printed


# Prints a domain's records as soon as some check has found this; the last answer where none does.
WAIT = """
for _ in $(seq 300); do
    api domains/dns_records '{"domain_name": "example.com"}' > /tmp/sluice-dns/answer.json
    if grep -q '"status": "FOUND"' /tmp/sluice-dns/answer.json; then break; fi
    sleep 0.1
done
cat /tmp/sluice-dns/answer.json
"""
# As beat does every minute.
POKE = ".venv/bin/python -m celery --app config --quiet call servers.tasks.check_domains > /tmp/sluice-dns/task.txt"
DUE = (
    ".venv/bin/python manage.py shell --no-imports -v 0 -c "
    "'from servers.models import Domain; Domain.objects.update(dns_next_check_at=None)'"
)


def test_the_worker_finds_it_by_itself(story: Story) -> None:
    start, publish, break_, _ = blocks()
    # Nobody asks for a check.
    publish = without_verifying(publish)
    _, right, wrong = story.paste(
        start, publish, POKE, WAIT.replace("FOUND", "OK"),
        without_verifying(break_), DUE, POKE, WAIT.replace("FOUND", "Invalid"),
    )  # fmt: skip

    assert right["data"]["domain"]["verified"] is True
    assert right["data"]["domain"]["dns_checks"] == dict.fromkeys(("spf", "dkim", "return_path", "mx", "dmarc"), OK)
    assert wrong["data"]["domain"]["verified"] is True
    assert wrong["data"]["domain"]["dns_checks"]["return_path"]["status"] == "Invalid"


def without_verifying(block: str) -> str:
    lines = block.splitlines(keepends=True)
    return "".join(line for line in lines if not line.startswith(("api domains/verify", "api servers/show")))
