"""Previews of a change's effects on other records, before it is saved.

The act runs, its effect is read from the database, and all is rolled back: the preview cannot say anything else than what
saving will do. The same form sent again, with the mark that it was looked at, is saved.
"""

import hashlib
from dataclasses import dataclass, field
from typing import Any

from django.db import transaction

from core.errors import Refused
from panel.forms import errors
from panel.forms.base import SHOWN, ActingForm

CONFIRMED = "_confirmed"
# What differs between looking and saving without being part of what is saved.
_APART = frozenset({CONFIRMED, SHOWN, "csrfmiddlewaretoken", "_save", "_continue", "_addanother"})
SHOWN_LINES = 25


@dataclass(frozen=True, slots=True)
class Effect:
    """The effect of a change: a sentence, lines of (what, before, after), of which some are shown, and more sentences."""

    summary: str
    lines: list[tuple[str, str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def shown(self) -> list[tuple[str, str, str]]:
        return self.lines[:SHOWN_LINES]

    @property
    def more(self) -> int:
        return max(0, len(self.lines) - SHOWN_LINES)


class _DryRun(Exception):
    def __init__(self, effect: Effect) -> None:
        self.effect = effect


class PreviewedForm(ActingForm):
    """A form that previews its effects on other records before it saves."""

    preview: Effect | None = None

    def state_before(self) -> Any:
        """Return the current state that `effect` compares with."""
        return None

    def effect(self, record: Any, before: Any) -> Effect | None:
        """Return the effects on other records; None if there are none, so that no preview is needed."""
        raise NotImplementedError(f"{type(self).__name__} does not define effect()")

    @property
    def confirmation(self) -> str:
        """Return the hash of this content."""
        data: Any = self.data
        content = sorted((name, data.getlist(name)) for name in data if name not in _APART)
        return hashlib.sha256(repr(content).encode("utf-8", "surrogatepass")).hexdigest()

    def _post_clean(self) -> None:
        if self.errors or self.is_new or not self.has_changed() or self.data.get(CONFIRMED) == self.confirmation:
            super()._post_clean()
            return
        try:
            with transaction.atomic():
                before = self.state_before()
                record = self.act()
                effect = self.effect(record, before)
                if effect is not None:
                    raise _DryRun(effect)
                self.instance = record
        except Refused as refusal:
            errors.show(self, refusal)
        except _DryRun as dry_run:
            self.preview = dry_run.effect
            self.add_error(None, "Not saved yet. Review the effects of the change, and save again to confirm.")
