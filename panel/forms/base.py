"""The base class of record forms. Note: validating such a form writes to the database (see ActingForm)."""

from typing import Any, ClassVar

from django import forms
from django.db import transaction
from django.db.models import Model, QuerySet
from django.forms import ModelChoiceField
from django.http import HttpRequest
from django.utils.crypto import salted_hmac

from core.audit import Actor
from core.errors import Refused
from core.names import without_invisible
from ippools.values import is_read_as_address
from panel.forms import errors
from panel.viewer import viewer_of

# Addresses and host names are pasted from pages and messages, with characters among them that are not shown.
PASTED = frozenset(
    {
        "ipv4", "ipv6", "public_ipv4", "public_ipv6", "hostname", "source_ip", "source_hostname", "destination_hostname",
        "network",
    }
)  # fmt: skip
HOST_NAMES = frozenset({"hostname", "source_hostname", "destination_hostname"})
READ_AS_ADDRESS = "Resolvers read this as an IP address."
# Wherever there are limits, they are called so.
LIMIT_LABELS = {"max_concurrent_connections": "Connections at once", "max_messages_per_hour": "Messages per hour"}


# What a page showed of a record comes back with its form, by this name: a mark for each field.
SHOWN = "_shown"
CHANGED_MEANWHILE = (
    "This was changed by someone else since you opened this page, so nothing was saved. Reload the page to see what it is now;"
    " saving again replaces it."
)


class ActingForm(forms.ModelForm):
    """A form whose VALIDATION PERFORMS THE WRITE: `is_valid()` returns True only after the act has been done.

    So what the act refuses is shown at its field, and its rules are written once. Subclasses say which act. Django's admin
    calls `is_valid()` once for each POST, in one transaction; a refused act leaves nothing behind. Never call `is_valid()`,
    `errors` or `full_clean()` to look at input: panel.forms.previews shows how an act is tried and rolled back.
    """

    request: ClassVar[HttpRequest]
    # Help texts by field name, for fields without one in the model.
    helps: ClassVar[dict[str, str]] = {}
    # Labels by field name, beside those of limits, where the model's name of the column is not what people say.
    labels: ClassVar[dict[str, str]] = {}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # A declared field is in every form, even where the page does not show it.
        shown, hidden = self._meta.fields, self._meta.exclude or ()
        for name in list(self.fields):
            if name in hidden or (shown is not None and name not in shown):
                del self.fields[name]
        if self.is_bound and (given := PASTED & {*self.data}):
            data: Any = self.data
            self.data = data = data.copy()
            for name in given:
                data[name] = without_invisible(data[name])

        for name, text in self.helps.items():
            if name in self.fields:
                self.fields[name].help_text = text
        for name, label in (LIMIT_LABELS | self.labels).items():
            if name in self.fields:
                self.fields[name].label = label

        # What the act made that is shown once, by what it is: {"Key": …}. It is in the answer alone.
        self.secrets: dict[str, str] = {}

    def limit_choices(self, name: str, choices: QuerySet[Any]) -> None:
        """Limit the choices of a field, if the form has it."""
        field = self.fields.get(name)
        if isinstance(field, ModelChoiceField):
            field.queryset = choices

    @property
    def actor(self) -> Actor:
        return viewer_of(self.request).actor

    @property
    def shown(self) -> str:
        """Return the marks of a record's values, which its page sends back; empty for a new record."""
        return "" if self.is_new else " ".join(f"{name}:{self._mark(name)}" for name in self.fields)

    def _mark(self, name: str) -> str:
        return salted_hmac(f"{__name__}:{name}", _text(self[name].initial)).hexdigest()[:12]

    def _clean_form(self) -> None:
        super()._clean_form()  # type: ignore[misc]  # Django's, which its stubs do not have
        for name in HOST_NAMES & {*self.changed_data}:
            if is_read_as_address(str(self.cleaned_data.get(name) or "")):
                self.add_error(name, READ_AS_ADDRESS)
        # A form has all fields of a record: what was changed by others since it was opened would be taken back unseen.
        marks = dict(each.split(":", 1) for each in self.data.get(SHOWN, "").split() if ":" in each)
        if self.is_new or not marks:
            return
        for name in self.changed_data:
            if name in marks and marks[name] != self._mark(name):
                self.add_error(name, CHANGED_MEANWHILE)

    @property
    def is_new(self) -> bool:
        return self.instance._state.adding

    def act(self) -> Model:
        """Perform the change and return the record."""
        raise NotImplementedError(f"{type(self).__name__} does not define act()")

    def _post_clean(self) -> None:
        # THE WRITE IS HERE. ModelForm would write into the instance and check the model's own rules; the act does both, under
        # its locks.
        if self.errors or not (self.is_new or self.has_changed()):
            return
        try:
            with transaction.atomic():
                self.instance = self.act()
        except Refused as refusal:
            errors.show(self, refusal)

    def save(self, commit: bool = True) -> Any:  # noqa: FBT001, FBT002 - Django's signature
        """Return the saved record; there is nothing left to save."""
        return self.instance

    def save_m2m(self) -> None:
        """Do nothing: the act has saved it."""


def _text(value: Any) -> str:
    """Return a field's value as a text that compares: of records their ids."""
    if isinstance(value, Model):
        return str(value.pk)
    if isinstance(value, list | tuple | QuerySet):
        return " ".join(sorted(map(_text, value)))
    return "" if value is None else str(value)
