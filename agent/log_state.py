"""What the readers of logs remember of messages, stored as texts. Standard library only, Python 3.9.

There may be 200,000, and few are in what is read at a time: only those are taken apart and put together again. The agent writes
those alone; the panel writes all of them, as they were.
"""

from __future__ import annotations

import json
from typing import Any

# Characters of what is stored in one piece: reading and writing them takes four times as many bytes of memory.
MOST_TEXT = 40_000_000


class Changing(dict[str, Any]):
    """A dictionary that knows which keys were set or deleted since `changed` was last emptied."""

    def __init__(self, stored: Any = ()) -> None:
        super().__init__(stored)
        self.changed: set[str] = set()

    def __setitem__(self, key: str, value: Any) -> None:
        self.changed.add(key)
        super().__setitem__(key, value)

    def __delitem__(self, key: str) -> None:
        self.changed.add(key)
        super().__delitem__(key)

    def text(self, key: str) -> str | None:
        """Return what is stored of a key; None: it is not there any more."""
        return json.dumps(self[key]) if key in self else None

    def changes(self) -> dict[str, str | None]:
        """Return what is stored of the changed keys."""
        return {key: self.text(key) for key in self.changed}


class Messages(Changing):
    """Messages by key; each is a `kind`, or a text until a line is about it.

    A text is the time of the message (its attribute `time`), a space, and its JSON. `get` marks the message as changed, because
    its caller can change it. Older states have JSON's types instead of texts.
    """

    def __init__(self, kind: Any, time: str, stored: dict[str, Any]) -> None:
        super().__init__(stored)
        self._kind, self._time = kind, time

    def get(self, key: str, default: Any = None) -> Any:
        """Return a message, to read and to change it."""
        if key not in self:
            return default
        self.changed.add(key)
        found = self._opened(self[key])
        super().__setitem__(key, found)
        return found

    def pop(self, key: str, default: Any = None) -> Any:
        """Remove a message and return it."""
        found = self.get(key, default)
        if key in self:
            del self[key]
        return found

    def text(self, key: str) -> str | None:
        """Return what is stored of a message."""
        return self._text(self[key]) if key in self else None

    def texts(self) -> dict[str, str]:
        """Return what is stored of all messages; of more than MOST_TEXT the oldest are left out."""
        found = {key: self._text(value) for key, value in self.items()}
        too_much = sum(len(key) + len(text) for key, text in found.items()) - MOST_TEXT
        for key in list(found) if too_much > 0 else ():
            too_much -= len(key) + len(found.pop(key))
            if too_much <= 0:
                break
        return found

    def older(self, than: float) -> list[str]:
        """Return the keys of the messages whose time is before this one."""
        return [key for key, value in self.items() if self._time_of(value) < than]

    def having(self, word: str) -> list[Any]:
        """Return messages of which that attribute may say something, to read them."""
        quoted = f'"{word}"'
        return [self._opened(value) for value in self.values() if not isinstance(value, str) or quoted in value]

    def _opened(self, value: Any) -> Any:
        if isinstance(value, self._kind):
            return value
        return self._kind.from_json(json.loads(value.partition(" ")[2]) if isinstance(value, str) else value)

    def _text(self, value: Any) -> str:
        if isinstance(value, str):
            return value
        message = self._opened(value)
        return f"{getattr(message, self._time)} {json.dumps(message.as_json(), separators=(',', ':'))}"

    def _time_of(self, value: Any) -> float:
        return float(value.partition(" ")[0] if isinstance(value, str) else getattr(self._opened(value), self._time))
