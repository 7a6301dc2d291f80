"""The embedded broker: a worker never takes half a message."""

import threading
from pathlib import Path
from queue import Empty

import pytest
from kombu import Connection

from config.celery import app
from config.folder_broker import Channel

# Without Redis, as `make run` starts it.
pytestmark = pytest.mark.storage

MESSAGES = 1_500


def test_it_is_what_celery_uses_without_redis(settings) -> None:
    if settings.REDIS_URL:
        pytest.skip("the broker is Redis here")
    assert isinstance(app.connection_for_write().default_channel, Channel)


def test_a_reader_that_never_looks_away_takes_whole_messages_only(tmp_path: Path) -> None:
    folder = tmp_path / "queue"
    folder.mkdir()
    options = {
        "data_folder_in": str(folder),
        "data_folder_out": str(folder),
        "control_folder": str(tmp_path / "control"),
    }

    def end() -> Channel:
        return Connection(
            "filesystem://", transport="config.folder_broker:Transport", transport_options=options
        ).channel()

    payload = {"body": "x" * 50_000}
    writing = threading.Thread(
        target=lambda channel: [channel._put("celery", {**payload, "n": n}) for n in range(MESSAGES)], args=(end(),)
    )
    reader, taken = end(), []
    writing.start()
    while writing.is_alive() or any(folder.iterdir()):
        try:
            taken.append(reader._get("celery"))
        except Empty:
            continue
    writing.join()
    assert sorted(message["n"] for message in taken) == list(range(MESSAGES))
    assert {message["body"] for message in taken} == {payload["body"]}
    assert not list(folder.iterdir())
