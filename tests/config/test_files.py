"""Files stay short enough to be read at a sitting."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MOST_LINES = 400
FOLDERS = [
    "agent",
    "alerts",
    "api",
    "config",
    "core",
    "dnschecks",
    "ippools",
    "nodes",
    "panel",
    "servers",
    "sluice",
    "stats",
    "suppressions",
    "templates",
    "tests",
    "throttling",
    "tools",
    "webhooks",
]
# Longer with a reason: Django writes the first migrations, and a dumped schema is data.
GENERATED = {"migrations", "schemas"}


@pytest.mark.parametrize("folder", FOLDERS)
def test_no_file_is_longer_than_a_reader_bears(folder: str) -> None:
    found = [path for kind in ("py", "html", "js", "css") for path in (ROOT / folder).rglob(f"*.{kind}")]
    assert found
    long = {
        str(path.relative_to(ROOT)): lines
        for path in found
        if path.parent.name not in GENERATED and (lines := len(path.read_text().splitlines())) > MOST_LINES
    }
    assert long == {}
