"""Form fields with the theme's widgets."""

import zoneinfo
from functools import cache
from typing import Any

from django import forms
from django.contrib.admin.widgets import AutocompleteSelect
from unfold import widgets

from core.references import whole_id


def text_input(**attrs: Any) -> forms.Widget:
    return widgets.UnfoldAdminTextInputWidget(attrs=attrs or None)


def text_area(rows: int = 4, **attrs: Any) -> forms.Widget:
    return widgets.UnfoldAdminTextareaWidget(attrs={"rows": rows, **attrs})


def select(**attrs: Any) -> forms.Widget:
    return widgets.UnfoldAdminSelectWidget(attrs=attrs or None)


def number_input(**attrs: Any) -> forms.Widget:
    return widgets.UnfoldAdminIntegerFieldWidget(attrs=attrs or None)


def date_and_time() -> forms.Widget:
    return widgets.UnfoldAdminSplitDateTimeWidget()


class LookUp(AutocompleteSelect):
    """A choice that is searched as one types. What is no id at all is shown as nothing chosen.

    Django's looks up whatever was posted when it shows the form again, and crashes where that is no number.
    """

    def optgroups(self, name: str, value: Any, attr: Any = None) -> Any:
        return super().optgroups(name, [each for each in value if each in ("", None) or whole_id(str(each))], attr)


@cache
def _zones() -> tuple[tuple[str, str], ...]:
    return tuple((name, name.replace("_", " ")) for name in sorted(zoneinfo.available_timezones()))


def time_zone_field() -> forms.ChoiceField:
    """Return a choice of the zones that this machine knows."""
    return forms.ChoiceField(choices=_zones, initial="UTC", widget=select(), label="Time zone")
