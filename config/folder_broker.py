"""Celery's filesystem broker with atomic writes: a message is in the folder completely or not at all.

kombu's own opens the file under its final name and then writes it. A worker that looks in between takes an empty file for a
message, and ends with a JSONDecodeError; on a busy machine that happens within minutes. (kombu 5.7; celery/kombu#1551.)

It can go when kombu writes a message under another name and renames it.
"""

import uuid
from pathlib import Path
from time import monotonic
from typing import Any

from kombu.exceptions import ChannelError
from kombu.transport import filesystem
from kombu.utils.encoding import str_to_bytes
from kombu.utils.json import dumps


class Channel(filesystem.Channel):
    """kombu's channel, with atomic writes of messages."""

    def _put(self, queue: str, payload: Any, **kwargs: Any) -> None:  # type: ignore[override]
        # Readers take the files whose name ends with the queue's, in the order of their names.
        folder = Path(self.data_folder_out)
        name = f"{round(monotonic() * 1000)}_{uuid.uuid4()}.{queue}.msg"
        draft = folder / f"{name}.draft"
        try:
            draft.write_bytes(str_to_bytes(dumps(payload)))
            draft.rename(folder / name)
        except OSError as error:
            draft.unlink(missing_ok=True)
            raise ChannelError(f"Cannot add the file {name!r} to the broker's folder") from error


class Transport(filesystem.Transport):
    """The transport for CELERY_BROKER_TRANSPORT."""

    Channel = Channel
