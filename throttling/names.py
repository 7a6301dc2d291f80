"""Names of templates and programs."""

from typing import Any

from core.attributes import ABSENT, Attributes
from core.names import fold
from throttling.models import ThrottleProgram, ThrottlingTemplate

NAME_LENGTH = 200


def read_name(
    attributes: Attributes, model: type[ThrottlingTemplate] | type[ThrottleProgram], *, pk: int | None
) -> Any:
    """Return the name: 1 to 200 characters, a letter or digit among them, and no other record's (`pk` is its own)."""
    name = attributes.text("name")
    if name is ABSENT:
        return ABSENT
    faults = []
    if not 1 <= len(name) <= NAME_LENGTH:
        faults.append(f"must be from 1 to {NAME_LENGTH} characters in length")
    elif not any(char.isalnum() for char in name):
        faults.append("must contain at least one letter or digit")
    elif model._default_manager.filter(name_key=fold(name)).exclude(pk=pk or 0).exists():
        faults.append("has already been taken")
    for message in faults:
        attributes.fault("name", message)
    return ABSENT if faults else name
