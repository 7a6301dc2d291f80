"""Form fields with the theme's widgets."""

import re
import zoneinfo
from functools import cache
from html import escape
from typing import Any

from django import forms
from django.contrib.admin.widgets import AutocompleteSelect
from django.db.models import Model
from django.forms.utils import to_current_timezone
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from unfold import widgets

from core.references import whole_id

_TYPED = " ".join(widgets.INPUT_CLASSES)


def text_input(**attrs: Any) -> forms.Widget:
    return widgets.UnfoldAdminTextInputWidget(attrs=attrs or None)


class _URLInput(widgets.UnfoldAdminTextInputWidget):
    """Without the theme's repetition of the URL below the field."""

    input_type = "url"


def url_input() -> forms.Widget:
    return _URLInput()


def text_area(rows: int = 4, **attrs: Any) -> forms.Widget:
    return widgets.UnfoldAdminTextareaWidget(attrs={"rows": rows, **attrs})


def select(**attrs: Any) -> forms.Widget:
    return widgets.UnfoldAdminSelectWidget(attrs=attrs or None)


def number_input(**attrs: Any) -> forms.Widget:
    return widgets.UnfoldAdminIntegerFieldWidget(attrs=attrs or None)


class WholeNumber(forms.IntegerField):
    """A whole number in figures. Django's field takes “1.000”, which is a thousand in half of Europe, for one."""

    default_error_messages = {"invalid": "Enter a whole number, without separators."}
    re_decimal = re.compile(r"(?!)")


class _ViewersDay(forms.DateInput):
    """The browser's own choice of a day: it works in dialogs, where scripts are not run, and on phones."""

    input_type = "date"

    def __init__(self) -> None:
        super().__init__({"class": _TYPED, "aria-label": "Date"}, format="%Y-%m-%d")


class _ViewersTime(forms.TimeInput):
    """The browser's own choice of a time."""

    input_type = "time"

    def __init__(self) -> None:
        super().__init__({"class": _TYPED, "aria-label": "Time"}, format="%H:%M")


class DateAndTime(forms.MultiWidget):
    """A day and a time in the viewer's zone, which it names."""

    def __init__(self, attrs: Any = None) -> None:
        super().__init__([_ViewersDay(), _ViewersTime()], attrs)

    def decompress(self, value: Any) -> list[Any]:
        if not value:
            return [None, None]
        here = to_current_timezone(value)
        return [here.date(), here.time()]

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        typed = super().render(name, value, attrs, renderer)
        return format_html(
            '<div class="panel-when">{}<span class="panel-quiet">{}</span></div>',
            typed,
            timezone.get_current_timezone_name().replace("_", " "),
        )


def date_and_time() -> forms.Widget:
    return DateAndTime()


def day() -> forms.Widget:
    """The browser's own choice of a day."""
    return _ViewersDay()


class LookUp(AutocompleteSelect):
    """A choice that is searched as one types. What is no id at all is shown as nothing chosen.

    Django's looks up whatever was posted when it shows the form again, and crashes where that is no number.
    """

    # The chosen record, where it came with the one that the form is of: it is not read again.
    loaded: Model | None = None

    def optgroups(self, name: str, value: Any, attr: Any = None) -> Any:
        if self.loaded is not None and value == [str(self.loaded.pk)]:
            options = [] if self.is_required else [self.create_option(name, "", "", selected=False, index=0)]
            label = self.choices.field.label_from_instance(self.loaded)
            options.append(self.create_option(name, self.loaded.pk, label, selected=True, index=len(options)))
            return [(None, options, 0)]
        return super().optgroups(name, [each for each in value if each in ("", None) or whole_id(str(each))], attr)


class RecordField(forms.ModelChoiceField):
    """A choice of a record. A number that no id can be is a wrong choice: SQLite cannot even look for it."""

    def __init__(self, *args: Any, empty_label: str | None = "Select value", **kwargs: Any) -> None:
        super().__init__(*args, empty_label=empty_label, **kwargs)

    def to_python(self, value: Any) -> Any:
        if value not in self.empty_values and not isinstance(value, Model) and not whole_id(str(value)):
            raise forms.ValidationError(
                self.error_messages["invalid_choice"], code="invalid_choice", params={"value": value}
            )
        return super().to_python(value)


class RecordsField(forms.ModelMultipleChoiceField):
    """A choice of several records, with the same check of each."""

    def clean(self, value: Any) -> Any:
        for each in value if isinstance(value, list | tuple) else ():
            if not isinstance(each, Model) and not whole_id(str(each)):
                raise forms.ValidationError(
                    self.error_messages["invalid_pk_value"], code="invalid_pk_value", params={"pk": each}
                )
        return super().clean(value)


@cache
def _zones() -> tuple[tuple[str, str], ...]:
    return tuple((name, name.replace("_", " ")) for name in sorted(zoneinfo.available_timezones()))


@cache
def _zone_options() -> str:
    return "".join(f'<option value="{escape(name)}">{escape(label)}</option>' for name, label in _zones())


class ZoneSelect(widgets.UnfoldAdminSelectWidget):
    """A choice of a time zone. Its six hundred options are written once: anew, they take half of an organization's page."""

    def use_required_attribute(self, initial: Any) -> bool:
        """None of the options is empty."""
        return False

    def optgroups(self, name: str, value: Any, attrs: Any = None) -> Any:
        return []

    def render(self, name: str, value: Any, attrs: Any = None, renderer: Any = None) -> SafeString:
        before, end, after = super().render(name, value, attrs, renderer).partition("</select>")
        options = _zone_options()
        for chosen in self.format_value(value):
            option = f'<option value="{escape(chosen)}"'
            options = options.replace(f"{option}>", f"{option} selected>", 1)
        return mark_safe(f"{before}{options}{end}{after}")  # noqa: S308 - of parts that are escaped


def time_zone_field() -> forms.ChoiceField:
    """Return a choice of the zones that this machine knows."""
    return forms.ChoiceField(choices=_zones, initial="UTC", widget=ZoneSelect(), label="Time zone")
