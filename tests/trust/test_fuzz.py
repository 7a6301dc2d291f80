"""The fuzzer's short form: ten seconds of odd requests against a real panel, with a seed of its own each day.

`make fuzz` is the long one.
"""

import datetime

import pytest

from fuzz.__main__ import main


@pytest.mark.server
def test_ten_seconds_of_odd_requests(monkeypatch, capsys):
    seed = datetime.datetime.now(datetime.UTC).strftime("%y%m%d")
    monkeypatch.setattr("sys.argv", ["fuzz", "--seconds", "10", "--seed", seed])
    assert main() == 0, capsys.readouterr().out
    assert "no crash" in capsys.readouterr().out
