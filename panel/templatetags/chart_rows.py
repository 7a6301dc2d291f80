"""Rows of tables of counts. A template that goes through two charts of thirty days takes a fifth of an address's page, and one
that goes through the grid of addresses and providers a fifth of the front page."""

from collections.abc import Iterable, Mapping
from html import escape
from typing import Any

from django import template
from django.utils.formats import number_format
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import capfirst

register = template.Library()


@register.filter
def chart_rows(rows: Iterable[Mapping[str, Any]]) -> SafeString:
    """Return the rows: what each is about, its `values` (numbers), its `share` and its `texts`, as far as it has them."""
    return mark_safe("\n".join(map(_row, rows)))  # noqa: S308 - of parts that are escaped


@register.filter
def provider_rows(rows: Iterable[Mapping[str, Any]]) -> SafeString:
    """Return the rows of how providers took an address's mail, as panel.charts.address_chart has them."""
    return mark_safe("\n".join(map(_provider, rows)))  # noqa: S308 - of parts that are escaped


def _provider(row: Mapping[str, Any]) -> str:
    name = escape(capfirst(row["name"]))
    head = f'<a href="{escape(row["explore"])}">{name}</a>' if row["explore"] else name
    counts = row["counts"]
    cells = "".join(
        f'<td class="panel-number">{_number(each)}</td>' for each in (counts.sent, counts.deferred, counts.bounced)
    )
    share = f'<span class="panel-accepted panel-accepted-{escape(row["step"])}">{escape(row["text"])}</span>'
    return (
        f'<tr id="{escape(row["slug"])}"><th scope="row">{head}</th>{cells}<td class="panel-number">{share}</td></tr>'
    )


@register.filter
def grid_rows(rows: Iterable[Mapping[str, Any]]) -> SafeString:
    """Return the rows of the front page's grid: an address, and what part of its mail each provider accepted."""
    return mark_safe("\n".join(map(_addresses, rows)))  # noqa: S308 - of parts that are escaped


def _addresses(row: Mapping[str, Any]) -> str:
    label = escape(row["label"])
    cells = "".join(f"<td>{_cell(label, cell)}</td>" for cell in row["cells"])
    return f'<tr><th scope="row"><a href="{escape(row["url"])}">{label}</a></th>{cells}</tr>'


def _cell(label: str, cell: Mapping[str, Any]) -> str:
    if cell["share"] is None:
        return '<span class="panel-cell panel-accepted-none" title="No attempts">–</span>'
    sent, deferred, bounced = (_number(getattr(cell["counts"], name)) for name in ("sent", "deferred", "bounced"))
    text = escape(cell["text"])
    return (
        f'<a class="panel-cell panel-accepted-{escape(cell["step"])}" href="{escape(cell["url"])}" '
        f'title="{sent} sent, {deferred} deferred, {bounced} bounced" '
        f'aria-label="{label} at {escape(cell["provider"])}: {text} accepted">{text}</a>'
    )


def _row(row: Mapping[str, Any]) -> str:
    texts = [*map(_number, row.get("values", ())), *filter(None, [row.get("share")]), *row.get("texts", ())]
    cells = "".join(f'<td class="panel-number">{escape(text)}</td>' for text in texts)
    return f'<tr><th scope="row">{escape(row["label"])}</th>{cells}</tr>'


def _number(value: int) -> str:
    # Most days have few, or none.
    return str(value) if 0 <= value < 1000 else str(number_format(value))
