"""The renderer of forms: the widgets that pages have dozens of are written by functions, all others by their templates.

Django renders a template for each input, another for its attributes, one for its label and one for the errors that it does not
have: together a tenth of the time of a record's page. The functions write what the templates do, but for white space.
"""

from collections.abc import Callable, Mapping
from html import escape
from typing import Any

from django.forms.renderers import DjangoTemplates
from django.template.base import render_value_in_context
from django.template.context import Context
from django.utils.safestring import SafeData, SafeString, mark_safe

_WIDGETS = "django/forms/widgets/"
_INPUTS = ("text", "number", "email", "url", "password", "hidden", "date", "time", "datetime", "checkbox")
_OPTION = f"{_WIDGETS}select_option.html"
# What unfold can set beside a text field; ours have none of them.
_BESIDE = ("prefix", "prefix_icon", "suffix", "suffix_icon")
_ARROW = (
    '<span class="material-symbols-outlined absolute group-[.primary]:text-white pointer-events-none mr-[12px] right-0 '
    "text-base-400 top-0 top-1/2 hover:text-base-700 dark:text-base-500 dark:hover:text-base-200 -translate-y-1/2"
    '">expand_more</span>'
)

type Found = Mapping[str, Any]
type Writer = Callable[[Found], str | None]


class Renderer(DjangoTemplates):
    """Django's renderer, which asks a function first; one that returns None leaves it to the template."""

    def render(self, template_name: str, context: Any, request: Any = None) -> SafeString:
        write = _WRITERS.get(template_name)
        written = None if write is None else write(context)
        found = super().render(template_name, context, request) if written is None else written
        return mark_safe(found)  # noqa: S308 - of parts that are escaped


def attributes(attrs: Mapping[str, Any]) -> str:
    """Return the attributes of an element; one that is True has no value, one that is False is left out."""
    return "".join(
        f" {_text(name)}" if value is True else f' {_text(name)}="{_text(value)}"'
        for name, value in attrs.items()
        if value is not False
    )


def _text(value: Any) -> str:
    # `{{ value|stringformat:"s" }}`: what is safe stays as it is.
    return str(value) if isinstance(value, SafeData) else escape(str(value))


def _shown(value: Any) -> str:
    # `{{ value }}`: numbers and dates are written as a person here writes them.
    return _text(value) if isinstance(value, str) else str(render_value_in_context(value, Context()))


def _input(context: Found) -> str:
    widget = context["widget"]
    value = "" if widget["value"] is None else f' value="{_text(widget["value"])}"'
    return (
        f'<input type="{_shown(widget["type"])}" name="{_shown(widget["name"])}"{value}{attributes(widget["attrs"])}>'
    )


def _text_input(context: Found) -> str | None:
    if any(context["widget"].get(name) for name in _BESIDE):
        return None
    return f'<div class="max-w-2xl relative w-full">{_input(context)}</div>'


def _text_area(context: Found) -> str:
    widget = context["widget"]
    value = _shown(widget["value"]) if widget["value"] else ""
    return f'<textarea name="{_shown(widget["name"])}"{attributes(widget["attrs"])}>{value}</textarea>'


def _select(context: Found) -> str | None:
    widget = context["widget"]
    groups = []
    for name, options, _ in widget["optgroups"]:
        if any(option["template_name"] != _OPTION for option in options):
            return None
        written = "".join(map(_option, options))
        groups.append(f'<optgroup label="{_shown(name)}">{written}</optgroup>' if name else written)
    return f'<select name="{_shown(widget["name"])}"{attributes(widget["attrs"])}>{"".join(groups)}</select>'


def _option(option: Found) -> str:
    value = _text(option["value"])
    return f'<option value="{value}"{attributes(option["attrs"])}>{_shown(option["label"])}</option>'


def _select_with_arrow(context: Found) -> str | None:
    select = _select(context)
    return None if select is None else f'<div class="grow relative max-w-2xl">{select}{_ARROW}</div>'


def _label(context: Found) -> str | None:
    if not context["use_tag"]:
        return None
    tag = context["tag"]
    return f"<{tag}{attributes(context['attrs'] or {})}>{_shown(context['label'])}</{tag}>"


def _errors(context: Found) -> str | None:
    return None if context["errors"] else ""


_WRITERS: dict[str, Writer] = {
    **{f"{_WIDGETS}{name}.html": _input for name in _INPUTS},
    f"{_WIDGETS}select.html": _select,
    "unfold/widgets/text.html": _text_input,
    "unfold/widgets/textarea.html": _text_area,
    "unfold/widgets/select.html": _select_with_arrow,
    "django/forms/label.html": _label,
    "django/forms/errors/list/default.html": _errors,
    "django/forms/errors/list/ul.html": _errors,
}
