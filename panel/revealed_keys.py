"""Shows keys in clear text: once when they are created, and later on request, which is audited."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from panel.record_actions import is_within_page, page_below


def show(
    admin: Any, request: HttpRequest, record: Any, secrets: dict[str, str], *, title: str, notice: str
) -> HttpResponse:
    """Return a page with keys, by label. They are only in this response: it is not stored or cached."""
    within = is_within_page(request)
    context = {
        **({} if within else admin.admin_site.each_context(request)),
        "base": "panel/dialog_only.html" if within else "admin/base_site.html",
        "title": title,
        "opts": admin.opts,
        "record": record,
        "secrets": secrets,
        "notice": notice,
        "back": page_below(request, admin.url_of(record.pk)),
    }
    response = TemplateResponse(request, "panel/keys.html", context)
    response.headers["Cache-Control"] = "no-store"
    if within:
        # In place of the whole dialog: its buttons would ask for another key.
        for name, value in (("Retarget", "#dialog"), ("Reselect", "#dialog"), ("Reswap", "outerHTML")):
            response.headers[f"HX-{name}"] = value
    return response
