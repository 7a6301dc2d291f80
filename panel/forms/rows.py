"""Formsets that are saved as a whole: missing rows are deleted, so an incomplete form is refused."""

from typing import Any

from django.forms import ValidationError
from django.forms.formsets import BaseFormSet

INCOMPLETE = "The form was incomplete, so nothing was saved. Reload the page and repeat your change."
CHANGED_MEANWHILE = (
    "Rows were added or removed by someone else since you opened this page, so nothing was saved. Reload the page and "
    "repeat your change."
)


class Rows(BaseFormSet):
    """A formset in which every row that was shown must be sent back: changed, unchanged or marked for deletion.

    How many came is what the browser says of itself (TOTAL_FORMS, INITIAL_FORMS), and is believed only where it fits.
    """

    default_error_messages = {**BaseFormSet.default_error_messages, "missing_management_form": INCOMPLETE}
    # What the mark for removal is called to screen readers.
    removal_label = "Remove this row"

    def clean(self) -> None:
        """Refuse incomplete rows; raises ValidationError."""
        if not self.management_form.is_valid():
            raise ValidationError(INCOMPLETE)
        total, shown = self.total_form_count(), self.initial_form_count()
        # An index that is not in this formset, such as -1, gives no form.
        if not 0 <= shown <= total or not all(self._has_come(number) for number in range(total)):
            raise ValidationError(INCOMPLETE)
        if shown != len(self.initial or ()):
            raise ValidationError(CHANGED_MEANWHILE)

    def add_fields(self, form: Any, index: int | None) -> None:
        super().add_fields(form, index)
        form.fields["DELETE"].widget.attrs["aria-label"] = self.removal_label

    def kept(self) -> list[Any]:
        """Return the remaining rows after saving, in order."""
        return [form for form in self.forms if not form.cleaned_data.get("DELETE") and not form.is_blank]

    def _has_come(self, number: int) -> bool:
        start = f"{self.add_prefix(number)}-"
        return any(name.startswith(start) for name in self.data)
