"""The headers and rows of a list as unfold has them, with the rows made in a fifth of the time.

unfold renders a template for each box to tick, each label and each row. Here what is the same in all rows is made once. What
none of our lists has (rows that are edited, sorted by hand or opened, and actions of a row) is not known here; tests hold that.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

from django import template
from django.contrib.admin.templatetags.admin_urls import add_preserved_filters
from django.contrib.admin.utils import lookup_field
from django.core.exceptions import ObjectDoesNotExist
from django.db.models import DateField, ForeignKey, ManyToOneRel, TimeField
from django.template.base import Parser, Token
from django.utils.html import conditional_escape
from django.utils.safestring import SafeString, mark_safe
from unfold.templatetags import unfold_list as unfolds
from unfold.utils import display_for_field, display_for_label, display_for_value

from panel.lists import PanelChangeList

register = template.Library()

# By turns, as unfold's.
_BODIES = ("relative ", "relative bg-base-50 dark:bg-white/[.02]")
_CELL = " ".join(unfolds.TABLE_CELL_CLASSES)
_BOX = " ".join(unfolds.TABLE_ACTION_CELL_CLASSES)
_LINK = " ".join(unfolds.LINK_CLASSES)


@register.tag(name="panel_result_list")
def result_list_tag(parser: Parser, token: Token) -> template.Node:
    """Show the headers and the rows of a list."""
    return unfolds.InclusionAdminNode(
        parser, token, func=result_list, template_name="change_list_results.html", takes_context=False
    )


def result_list(cl: PanelChangeList) -> dict[str, Any]:
    """Return the context of admin/change_list_results.html."""
    headers = list(unfolds.result_headers(cl))
    return {
        "cl": cl,
        "result_headers": headers,
        "num_sorted_fields": sum(bool(each["sortable"] and each["sorted"]) for each in headers),
        "rows": rows(cl),
    }


def rows(cl: PanelChangeList) -> SafeString:
    """Return the bodies of the table, one for each record."""
    url = url_maker(cl)
    parts = []
    for index, record in enumerate(cl.result_list):
        parts.append(f'<tbody class="{_BODIES[index % 2]}" x-data="{{rowOpen: false}}"><tr class="data-row relative">')
        parts.extend(cells(cl, record, url))
        parts.append("</tr></tbody>\n")
    return mark_safe("".join(parts))  # noqa: S308 - of parts that are escaped


def cells(cl: PanelChangeList, record: Any, url: Callable[[Any], str]) -> Iterator[str]:
    """Yield the cells of a record, as unfold's `items_for_result` does."""
    is_first, empty = True, cl.model_admin.get_empty_value_display()
    for index, name in enumerate(cl.list_display):
        classes, value = _shown(cl, record, name, empty)
        classes = f"field-{unfolds._coerce_field_name(name, index)} {classes}" if name != "action_checkbox" else classes
        tag = "td"
        if cl.list_display_links is not None and (
            name in cl.list_display_links or (is_first and not cl.list_display_links)
        ):
            tag, is_first = ("th" if is_first else "td"), False
            opener = _opener(cl, record) if cl.is_popup else ""
            value = f'<a href="{url(record)}" class="{_LINK}" {opener}>{conditional_escape(value)}</a>'
        else:
            value = conditional_escape(value)
        yield f'<{tag} class="{classes}">{value}</{tag}>'


def _opener(cl: PanelChangeList, record: Any) -> str:
    column = str(cl.to_field or cl.lookup_opts.pk.attname)
    return f' data-popup-opener="{conditional_escape(record.serializable_value(column))}"'


def url_maker(cl: PanelChangeList) -> Callable[[Any], str]:
    """Return a function that makes the address of a record's page, escaped; its parts are looked up once."""

    def url(record: Any) -> str:
        return conditional_escape(
            add_preserved_filters(
                {"preserved_filters": cl.preserved_filters, "opts": cl.opts}, cl.url_for_result(record)
            )
        )

    records = list(cl.result_list)
    if not records or not isinstance(records[0].pk, int):
        return url
    head, found, tail = url(records[0]).partition(f"/{records[0].pk}/change/")
    return (lambda record: f"{head}/{record.pk}/change/{tail}") if found else url


def _shown(cl: PanelChangeList, record: Any, name: str, empty: str) -> tuple[str, Any]:
    """Return the classes of a cell and its value in words; `empty` stands for none."""
    try:
        field, attribute, value = lookup_field(name, record, cl.model_admin)
    except ObjectDoesNotExist:
        return _CELL, empty
    empty = getattr(attribute, "empty_value_display", empty)
    if field is None or field.auto_created:
        if name == "action_checkbox":
            return _BOX, value
        if kinds := getattr(attribute, "label", False):
            return _CELL, _label_of(value, empty, kinds)
        is_time = isinstance(value, unfolds.datetime.date | unfolds.datetime.time)
        shown = display_for_value(value, empty, getattr(attribute, "boolean", False))
        return f"{_CELL} nowrap" if is_time else _CELL, shown
    if isinstance(field.remote_field, ManyToOneRel):
        related = getattr(record, field.name)
        value = empty if related is None else related
    else:
        value = display_for_field(value, field, empty)
    is_short = isinstance(field, DateField | TimeField | ForeignKey)
    return f"{_CELL} nowrap" if is_short else _CELL, value


def _label_of(value: Any, empty: str, kinds: Any) -> str:
    if type(value) not in (str, SafeString):
        return display_for_label(value, empty, kinds)
    return _label(value, isinstance(value, SafeString), kinds.get(value) if isinstance(kinds, dict) else None)


@lru_cache(maxsize=1024)
def _label(value: str, is_safe: bool, kind: str | None) -> str:  # noqa: FBT001 - a key
    return display_for_label(value, "", {value: kind} if kind is not None else False)
