"""A row of a form's fieldset as unfold has it, written without its three templates a field."""

from typing import Any

from django import template
from django.template.context import Context
from django.utils.html import conditional_escape
from django.utils.safestring import SafeString, mark_safe

register = template.Library()

_ROW = "form-row field-row group/row"
_LINE = (
    "field-line flex flex-col grow group group/line px-3 py-2.5 border-b border-base-200 border-dashed min-h-[59px] "
    "group-[.last]/row:border-b-0 lg:flex-row lg:items-center dark:border-base-800"
)
_LABEL = "lg:min-w-56 lg:w-56 lg:h-[38px] lg:flex lg:items-center lg:self-start lg:leading-[38px] lg:*:m-0"


@register.simple_tag(takes_context=True)
def field_row(context: Context) -> SafeString:
    """Return the fields of the context's `line`, each with its label, its help and its faults."""
    line = context["line"]
    classes = _ROW if line.has_visible_field else f"{_ROW} hidden"
    last = " last" if context["forloop"]["last"] else ""
    fields = "".join(_field(context, field) for field in line)
    return mark_safe(f'<div class="{classes}{last}">{fields}</div>')  # noqa: S308 - of parts that are escaped


def _field(context: Context, field: Any) -> str:
    if field.is_readonly:
        value = _included(context, "unfold/helpers/field_readonly_value.html", field)
        return f'<div class="{_LINE}">{_beside(field, value, field.field["help_text"], "")}</div>'
    bound = field.field
    errors = field.errors()
    classes = f"{_LINE} field-{bound.name}{' errors' if errors else ''}"
    if field.is_checkbox:
        return f'<div class="{classes}">{_included(context, "unfold/helpers/fieldset_row_checkbox.html", field)}</div>'
    return f'<div class="{classes}">{_beside(field, str(bound), bound.help_text, errors)}</div>'


def _beside(field: Any, value: str, help_text: Any, errors: str) -> str:
    told = f'<div class="leading-relaxed mt-2 text-xs">{help_text}</div>' if help_text else ""
    faults = f'<div class="mt-2 text-red-600 text-xs dark:text-red-500">{errors}</div>' if errors else ""
    label = conditional_escape(field.label_tag())
    return f'<div class="{_LABEL}">{label}</div><div class="grow relative">{value}{told}{faults}</div>'


def _included(context: Context, name: str, field: Any) -> str:
    found = context.template.engine.get_template(name)  # type: ignore[union-attr]  # while it is rendered, there is one
    with context.push(field=field):
        return str(found.render(context))
