"""The way to a page, in its header: the sidebar's group (unfold names Django's app instead), the list, the record."""

from typing import Any

from django import template
from django.contrib import admin
from django.urls import reverse

from panel import help_pages
from panel.navigation import group_of

register = template.Library()


@register.simple_tag(takes_context=True)
def help_url(context: template.Context) -> str:
    """Return where the documentation tells of this page."""
    return help_pages.url_for(context.get("opts"))


@register.inclusion_tag("unfold/helpers/header_title.html", takes_context=True)
def page_title(context: template.Context) -> dict[str, Any]:
    """Return the parts of the way; a page of the site itself has its title alone."""
    opts: Any = context.get("opts")
    # Django calls it otherwise where it is deleted.
    record = context.get("original") or context.get("object")
    title = context.get("content_title") or context.get("title")
    page: Any = None if opts is None else admin.site._registry.get(opts.model)
    if page is None:
        return {"parts": [{"title": title or "Dashboard"}]}
    parts: list[dict[str, Any]] = []
    group = group_of(opts.label_lower)
    # Not "Nodes › Nodes".
    if group and group.lower() != str(opts.verbose_name_plural).lower():
        parts.append({"title": group})
    name = f"{admin.site.name}:{opts.app_label}_{opts.model_name}_changelist"
    parts.append({"title": opts.verbose_name_plural, "link": reverse(name)})
    if record is not None and not isinstance(record, str):
        parts.append({"title": record, "link": page.url_of(record.pk), "is_name": True})
    elif context.get("add"):
        parts.append({"title": f"Add {opts.verbose_name}"})
    elif title and str(title).lower() != str(opts.verbose_name_plural).lower():
        # A page of the list's, such as the one that publishes.
        parts.append({"title": title, "is_name": True})
    return {"parts": parts}
