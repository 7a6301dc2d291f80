"""Shows keys in clear text: once when they are created, and later on request, which is audited."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from panel.record_actions import is_within_page


def show(
    admin: Any, request: HttpRequest, record: Any, secrets: dict[str, str], *, title: str, notice: str
) -> HttpResponse:
    """Answer with keys, by what each is. They are in this answer alone: nothing stores them, and no cache may."""
    within = is_within_page(request)
    context = {
        **({} if within else admin.admin_site.each_context(request)),
        "base": "panel/dialog_only.html" if within else "admin/base_site.html",
        "title": title,
        "opts": admin.opts,
        "record": record,
        "secrets": secrets,
        "notice": notice,
        "back": admin.url_of(record.pk),
    }
    response = TemplateResponse(request, "panel/keys.html", context)
    response.headers["Cache-Control"] = "no-store"
    return response
