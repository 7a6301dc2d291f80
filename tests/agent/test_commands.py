"""The agent as a program: its settings, `once`, `check` and `status`, against a panel on the loopback."""

import dataclasses
import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from nodes.policy.model import Policy
from tests.agent.conftest import AGENT
from tests.mta.policies import ACME, policy, published
from tests.mta.small_panel import KEY, SmallPanel

pytestmark = pytest.mark.server


@pytest.fixture
def panel() -> Iterator[SmallPanel]:
    found = SmallPanel()
    yield found
    found.close()


@pytest.fixture
def key_file(tmp_path: pathlib.Path) -> pathlib.Path:
    path = tmp_path / "node.key"
    path.write_text(KEY + "\n")
    path.chmod(0o600)
    return path


@pytest.fixture
def settings(panel: SmallPanel, key_file: pathlib.Path, tmp_path: pathlib.Path) -> dict[str, str]:
    (tmp_path / "haraka").mkdir()
    return {
        "SLUICE_AGENT_URL": panel.url,
        "SLUICE_AGENT_KEY_FILE": str(key_file),
        "SLUICE_AGENT_STATE": str(tmp_path / "state"),
        "SLUICE_AGENT_CONFIG": str(tmp_path / "haraka"),
    }


def agent(settings: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("SLUICE_AGENT_")}
    return subprocess.run(
        [sys.executable, str(AGENT / "sluice_agent.py"), *arguments],
        env={**clean, **settings},
        capture_output=True,
        text=True,
        timeout=60,
    )


def loopback(asked: Policy) -> Policy:
    """Return the policy with addresses that every machine has."""
    return dataclasses.replace(
        asked, sources=tuple(dataclasses.replace(each, ipv4="127.0.0.1") for each in asked.sources)
    )


def test_once_applies_reads_and_reports(panel: SmallPanel, settings: dict[str, str], tmp_path: pathlib.Path) -> None:
    document = published(loopback(policy("haraka", revision=7)))
    panel.publish(document)
    event = {"id": "1", "type": "sent", "at": "2026-11-27T00:00:00.000Z", "server": ACME, "to": "a@b.example"}
    (tmp_path / "haraka/sluice-events.ndjson").write_text(
        json.dumps(event) + "\nno JSON\n" + json.dumps({"id": "2"}) + "\n"
    )

    done = agent(settings, "once")

    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "haraka/sluice.json").read_text() == document["files"]["sluice.json"]
    assert json.loads((tmp_path / "haraka/sluice-overlay.json").read_text()) == document["overlay"]
    assert list(panel.events.values()) == [event]
    [report] = panel.reports
    assert {
        name: report[name]
        for name in ("revision_applied", "overlay_applied", "digest_applied", "error", "spool_events", "drift")
    } == {
        "revision_applied": 7,
        "overlay_applied": 1,
        "digest_applied": document["digest"],
        "error": "",
        "spool_events": 0,
        "drift": [],
    }
    assert agent(settings, "once").returncode == 0
    assert panel.repeats == 0


def test_status_is_one_json_object(panel: SmallPanel, settings: dict[str, str]) -> None:
    assert json.loads(agent(settings, "status").stdout)["revision_applied"] is None
    panel.publish(published(loopback(policy("haraka", revision=7))))
    agent(settings, "once")

    said = json.loads(agent(settings, "status").stdout)
    assert (said["running"], said["node"], said["kind"], said["revision_applied"], said["error"]) == (
        False,
        "mta1",
        "haraka",
        7,
        "",
    )


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"node": "mta2"}, "refused: this is the policy of mta2 (haraka), and this machine is mta1 (haraka)"),
        ({"kind": "postfix"}, "refused: this is the policy of mta1 (postfix), and this machine is mta1 (haraka)"),
        ({"revision": 6}, "refused: revision 6, overlay 1 is older than revision 7, overlay 1, which is applied"),
        ({"files": {}}, "refused: a policy for Haraka has one file, sluice.json"),
        ({"files": {"sluice.json": "{"}}, "refused: sluice.json cannot be read"),
        ({"overlay": None}, "refused: the policy cannot be read"),
        (
            {"files": {"sluice.json": '{"format": 2}'}},
            "refused: sluice.json has the format 2, which this agent does not know",
        ),
    ],
)
def test_it_refuses_what_is_not_its_own_or_broken(
    panel: SmallPanel, settings: dict[str, str], tmp_path: pathlib.Path, changes: dict[str, Any], sentence: str
) -> None:
    document = published(loopback(policy("haraka", revision=7)))
    panel.publish(document)
    agent(settings, "once")
    panel.publish({**document, "revision": 8, **changes})

    done = agent(settings, "once")

    assert done.returncode == 1
    assert panel.reports[-1]["error"].startswith(sentence)
    assert panel.reports[-1]["revision_applied"] == 7
    assert (tmp_path / "haraka/sluice.json").read_text() == document["files"]["sluice.json"]


def test_it_refuses_an_address_that_is_not_on_the_machine(panel: SmallPanel, settings: dict[str, str]) -> None:
    panel.publish(published(policy("haraka", revision=7)))

    assert agent(settings, "once").returncode == 1
    assert panel.reports[-1]["error"] == "refused: the address 203.0.113.11 is not on this machine"


def test_check_says_what_is_missing(panel: SmallPanel, settings: dict[str, str], tmp_path: pathlib.Path) -> None:
    done = agent(settings, "check")
    assert (done.returncode, done.stdout) == (0, "ok\n")

    panel.publish(published(loopback(policy("haraka"))))
    done = agent({**settings, "SLUICE_AGENT_CONFIG": str(tmp_path / "nowhere")}, "check")
    assert done.returncode == 1
    assert (
        done.stdout
        == f"the folder {tmp_path}/nowhere does not exist (--config: the folder of the plug-in's sluice.json)\n"
    )


def test_a_wrong_key_is_said(panel: SmallPanel, settings: dict[str, str], key_file: pathlib.Path) -> None:
    key_file.write_text("x" * 32)

    done = agent(settings, "once")
    assert (done.returncode, done.stderr) == (1, "sluice-agent: the panel answered 401: The key is not valid\n")


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o700])
def test_a_key_that_others_may_read_is_refused(settings: dict[str, str], key_file: pathlib.Path, mode: int) -> None:
    key_file.chmod(mode)

    done = agent(settings, "once")
    assert done.returncode == 2
    assert done.stderr == f"sluice-agent: {key_file} has mode {mode:04o}: the key's file must have mode 0600\n"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"SLUICE_AGENT_URL": "http://sluice.example.com"}, "the panel's address must start with https://"),
        ({"SLUICE_AGENT_URL": "ftp://sluice.example.com"}, "the panel's address must be like https://"),
        ({"SLUICE_AGENT_URL": ""}, "the panel's URL is not set"),
        ({"SLUICE_AGENT_KEY_FILE": ""}, "the node's key file is not set"),
        ({"SLUICE_AGENT_STATE": ""}, "the agent's folder is not set"),
        ({"SLUICE_AGENT_SPOOL_LIMIT": "many"}, "--spool-limit must be a number of events"),
        ({"SLUICE_AGENT_SUBMISSION": "localhost"}, "--submission must be like 203.0.113.10:587"),
    ],
)
def test_wrong_settings_are_named(settings: dict[str, str], changes: dict[str, str], sentence: str) -> None:
    done = agent({**settings, **changes}, "once")

    assert done.returncode == 2
    assert done.stderr.startswith(f"sluice-agent: {sentence}")


def test_a_full_spool_stops_reading(panel: SmallPanel, settings: dict[str, str], tmp_path: pathlib.Path) -> None:
    panel.publish(published(loopback(policy("haraka"))))
    agent(settings, "once")
    log = tmp_path / "haraka/sluice-events.ndjson"
    line = {"type": "sent", "at": "2026-11-27T00:00:00.000Z", "server": ACME}
    log.write_text("".join(json.dumps({"id": str(number), **line}) + "\n" for number in range(9000)))
    panel.unavailable = 1.0
    done = agent({**settings, "SLUICE_AGENT_SPOOL_LIMIT": "1000"}, "once")
    assert (done.returncode, done.stderr) == (1, "sluice-agent: the panel answered 503\n")
    assert json.loads(agent(settings, "status").stdout)["spool_events"] == 4000

    panel.unavailable = 0.0
    for _ in range(3):
        agent({**settings, "SLUICE_AGENT_SPOOL_LIMIT": "1000"}, "once")
    assert len(panel.events) == 9000
    assert panel.repeats == 0
