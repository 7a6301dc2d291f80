"""Maps the faults of a refused change to the fields of the form."""

from django import forms

from core.errors import Fault, Invalid, Refused
from core.texts import sentence


def show(form: forms.BaseForm, refusal: Refused) -> None:
    """Show each fault at its field; faults without a field of the form are shown above the form."""
    faults = refusal.faults if isinstance(refusal, Invalid) else (Fault("", refusal.message),)
    take = getattr(form, "take_fault", None)
    for fault in faults:
        if take is not None and take(fault):
            continue
        name = field_of(form, fault.path)
        text = sentence(fault.message) if name or not fault.path else f"{fault.path} {fault.message}"
        form.add_error(name, text)


def field_of(form: forms.BaseForm, path: str) -> str | None:
    """Return the form's field that a path such as `rules[2].domains[0]` belongs to, or None."""
    head = path.split(".", 1)[0].split("[", 1)[0]
    aliases: dict[str, str] = getattr(form, "aliases", {})
    for name in (aliases.get(path, ""), path.replace(".", "_"), head, aliases.get(head, "")):
        if name in form.fields:
            return name
    return None
