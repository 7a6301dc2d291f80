"""The rows of a chart's table. A template that goes through two charts of thirty days takes a fifth of an address's page."""

from collections.abc import Iterable, Mapping
from typing import Any

from django import template
from django.utils.formats import number_format
from django.utils.html import conditional_escape
from django.utils.safestring import SafeString, mark_safe

register = template.Library()


@register.filter
def chart_rows(rows: Iterable[Mapping[str, Any]]) -> SafeString:
    """Return the rows: what each is about, its `values` (numbers), its `share` and its `texts`, as far as it has them."""
    return mark_safe("\n".join(map(_row, rows)))  # noqa: S308 - of parts that are escaped


def _row(row: Mapping[str, Any]) -> str:
    texts = [*map(_number, row.get("values", ())), *filter(None, [row.get("share")]), *row.get("texts", ())]
    cells = "".join(f'<td class="panel-number">{conditional_escape(text)}</td>' for text in texts)
    return f'<tr><th scope="row">{conditional_escape(row["label"])}</th>{cells}</tr>'


def _number(value: int) -> str:
    # Most days have few, or none.
    return str(value) if 0 <= value < 1000 else str(number_format(value))
