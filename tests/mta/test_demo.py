"""What `make demo-mta` makes in the panel, and that it ends well."""

import pathlib
import subprocess
import sys

import pytest

from ippools.models import IPAddress
from nodes.models import Node
from servers.models import Server
from tests.mta.demo import ADDRESSES, prepare
from tests.mta.machine import why_not
from tests.mta.namespace import CannotBeMade, namespace
from tools import panel

pytestmark = pytest.mark.live


@pytest.mark.django_db
def test_a_second_run_finds_the_records_of_the_first() -> None:
    first, second = prepare("http://localhost:8000"), prepare("http://localhost:8000")
    assert first.pages == second.pages
    assert first.password == second.password
    # Nobody has kept the first run's: the panel stores a digest.
    assert first.key != second.key
    assert Node.objects.count() == Server.objects.count() == 1
    assert {each.ipv4 for each in IPAddress.objects.all()} == set(ADDRESSES)


@pytest.mark.long
@pytest.mark.server
def test_the_receivers_and_the_panel_count_the_same(tmp_path: pathlib.Path) -> None:
    if reason := why_not("postfix"):
        pytest.skip(reason)
    try:
        with namespace():
            pass
    except CannotBeMade as reason:
        pytest.skip(str(reason))
    with panel.running(tmp_path, static=False) as sluice:
        done = subprocess.run(
            [sys.executable, "-m", "tests.mta.demo", "--url", sluice.url, "--messages", "40"],
            cwd=panel.ROOT,
            env=sluice.environment,
            capture_output=True,
            text=True,
        )
    assert done.returncode == 0, done.stderr[-3000:]
    assert "The receivers and the panel counted the same." in done.stdout
