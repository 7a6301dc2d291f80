"""The clock is read at the edge (a request, a task, a command, a page of the panel) and handed down."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = (
    "alerts", "api", "core", "dnschecks", "ippools", "nodes", "servers", "stats", "suppressions", "throttling", "webhooks",
)  # fmt: skip
CLOCKS = {
    "timezone.now",
    "datetime.now",
    "datetime.datetime.now",
    "datetime.utcnow",
    "date.today",
    "datetime.date.today",
}
# What is no edge and reads the clock all the same, because one moment cannot stand for the whole of its work.
EXCEPT = {
    "core/sessions.py": "Django's store has no argument for the moment at which a session is read",
    "dnschecks/sweep.py": "a sweep takes minutes, and claims each record at its own time",
    "dnschecks/round_robin.py": "a sweep takes minutes, and asks for what is due now",
    "nodes/waiting.py": "a request is held until something changes",
    "stats/counts/fold.py": "the record of a run says when it ended",
    "stats/counts/runs.py": "the record of a run says when it ended",
}


def is_edge(path: Path) -> bool:
    return (
        path.name == "tasks.py"
        or not {"commands", "migrations"}.isdisjoint(path.parts)
        or path.as_posix() == "api/requests.py"
    )


def reads_of(tree: ast.AST) -> list[int]:
    """Return the lines on which the clock is read, or handed on to be read later (`default=timezone.now`)."""
    return [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Attribute) and ast.unparse(node) in CLOCKS]


def test_only_the_edge_reads_the_clock():
    reading = {
        path.relative_to(ROOT).as_posix(): lines
        for folder in PRODUCT
        for path in sorted((ROOT / folder).rglob("*.py"))
        if not is_edge(path.relative_to(ROOT))
        if (lines := reads_of(ast.parse(path.read_text())))
    }
    assert {path: lines for path, lines in reading.items() if path not in EXCEPT} == {}
    assert set(EXCEPT) == set(reading), "an exception that is none any more"


@pytest.mark.parametrize(
    "text", ["at = timezone.now()", "import datetime\nx = datetime.datetime.now(tz)", "F(default=timezone.now)"]
)
def test_a_read_is_seen(text):
    assert len(reads_of(ast.parse(text))) == 1
