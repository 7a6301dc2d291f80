"""Validation of the names of templates, programs and warm-up plans."""

from core.errors import TAKEN, Faults
from core.names import fold
from core.texts import is_storable
from throttling.models import ThrottleProgram, ThrottlingTemplate, WarmUpPlan

NAME_LENGTH = 200


def validate_name(
    name: str,
    model: type[ThrottlingTemplate] | type[ThrottleProgram] | type[WarmUpPlan],
    *,
    pk: int | None,
    faults: Faults,
) -> None:
    """Validate a name: 1 to 200 characters, with a letter or digit, and unique (`pk` is the record's own id)."""
    if not is_storable(name):
        faults.add("name", "must not contain control characters")
    elif not 1 <= len(name) <= NAME_LENGTH:
        faults.add("name", f"must be from 1 to {NAME_LENGTH} characters in length")
    elif not any(char.isalnum() for char in name):
        faults.add("name", "must contain at least one letter or digit")
    elif model._default_manager.filter(name_key=fold(name)).exclude(pk=pk or 0).exists():
        faults.add("name", TAKEN)
