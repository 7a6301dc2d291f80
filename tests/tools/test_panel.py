"""The panel that other tests speak to by HTTP."""

import urllib.request

import pytest

from tools import panel

pytestmark = pytest.mark.live


@pytest.mark.server
def test_it_works(tmp_path):
    with panel.running(tmp_path, static=False) as sluice:
        with urllib.request.urlopen(sluice.url + "/readyz") as answer:
            assert answer.status == 200
        assert "No changes detected" in sluice.manage("makemigrations", "--check")
    assert sluice.web.returncode is not None
    with pytest.raises(RuntimeError, match="ended with 1"):
        sluice.manage("no_such_command")
