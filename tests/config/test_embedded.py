"""The embedded default's secrets are made once, whoever comes first."""

import json
import multiprocessing
import os
from pathlib import Path

from config import embedded

PROCESSES = 6


def ask(folder: str, gate, answers) -> None:
    gate.wait()
    answers.put(json.dumps(embedded.secrets(Path(folder)), sort_keys=True))


def test_secrets_are_made_once_under_a_race(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    gate, answers = context.Barrier(PROCESSES), context.Queue()
    racers = [context.Process(target=ask, args=(str(tmp_path / "var"), gate, answers)) for _ in range(PROCESSES)]
    for racer in racers:
        racer.start()
    told = {answers.get(timeout=30) for _ in racers}
    for racer in racers:
        racer.join()
    assert len(told) == 1
    assert json.loads(told.pop()) == json.loads((tmp_path / "var" / "secrets.json").read_text())


def test_secrets_stay(tmp_path: Path) -> None:
    assert embedded.secrets(tmp_path / "var") == embedded.secrets(tmp_path / "var")


def test_two_folders_have_different_secrets(tmp_path: Path) -> None:
    one, other = embedded.secrets(tmp_path / "a"), embedded.secrets(tmp_path / "b")
    assert not set(one.values()) & set(other.values())


def test_a_broker_s_table_that_a_full_disk_cut_off_is_made_anew(tmp_path):
    control = tmp_path / "broker" / "control"
    control.mkdir(parents=True)
    for name, content in {"celery": '[["celery", "", "celery"]]', "old": '[["cele', "new": ""}.items():
        (control / f"{name}.exchange").write_text(content)
    os.utime(control / "old.exchange", (0, 0))
    embedded.broker(tmp_path)
    # The empty one may be being written just now.
    assert sorted(path.name for path in control.iterdir()) == ["celery.exchange", "new.exchange"]
