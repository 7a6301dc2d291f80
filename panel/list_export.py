"""A list as a file: the columns that it shows, of the rows that its filters leave."""

import datetime
from collections.abc import Iterator
from typing import Any

from django.contrib.admin.utils import label_for_field, lookup_field
from django.core.exceptions import ObjectDoesNotExist
from django.db.models import Model
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import strip_tags
from django.utils.text import capfirst

from core.errors import Refused
from panel.lists import PanelChangeList

MOST_ROWS = 5_000
_CHECKBOX = "action_checkbox"


class TooManyRows(Refused):
    """The list is longer than a file may be."""

    default_message = f"More than {MOST_ROWS:,} records were found, which is the most that a file has: filter the list"


class WholeList(PanelChangeList):
    """A list with all its rows on one page; raises TooManyRows."""

    def get_results(self, request: HttpRequest) -> None:
        rows = self.rows(request, 0, MOST_ROWS + 1)
        if len(rows) > MOST_ROWS:
            raise TooManyRows
        self.model_admin.decorate_rows(request, rows)
        self.result_list = rows
        self.result_count = self.full_result_count = len(rows)
        self.show_full_result_count = self.show_admin_actions = self.can_show_all = self.multi_page = False


def columns(page: Any, found: PanelChangeList) -> list[str]:
    """Return the titles of the list's columns."""
    return [capfirst(str(label_for_field(name, page.model, model_admin=page))) for name in _names(found)]


def rows(page: Any, found: PanelChangeList) -> Iterator[list[Any]]:
    """Yield the cells of each row. What the list shows as empty is empty."""
    names = _names(found)
    for record in found.result_list:
        yield [_cell(page, name, record) for name in names]


def _names(found: PanelChangeList) -> list[str]:
    return [name for name in found.list_display if name != _CHECKBOX]


def _cell(page: Any, name: str, record: Model) -> Any:
    try:
        field, _, value = lookup_field(name, record, page)
    except ObjectDoesNotExist:
        return ""
    if field is not None and getattr(field, "flatchoices", None):
        return getattr(record, f"get_{field.name}_display")()
    return _plain(value)


def _plain(value: Any) -> Any:
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case datetime.datetime():
            return timezone.localtime(value).isoformat(timespec="seconds")
        case int() | float():
            return value
        case list() | tuple():
            return ", ".join(str(_plain(each)) for each in value)
        case str() if hasattr(value, "__html__"):
            return strip_tags(value)
        case _:
            return str(value)
