"""The page behind the link by which a mailbox agrees to alerts, without signing in.

It asks first, as programs that look at links before people do open it.
"""

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods

from alerts import confirming
from core.errors import NotFound


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def confirm_alerts(request: HttpRequest, token: str) -> HttpResponse:
    """Ask (GET), or confirm the address (POST). The link is signed: nothing else says who asks."""
    context = admin.site.each_context(request) | {"title": "Alerts by e-mail"}
    try:
        channel = confirming.of_token(token)
        if request.method == "POST":
            channel = confirming.confirm_by_link(token=token, at=timezone.now())
    except NotFound as refusal:
        return TemplateResponse(request, "panel/confirm_link.html", {**context, "problem": refusal.message}, status=404)
    whose = channel.organization.permalink if channel.organization is not None else "the platform"
    context["question"] = f"Do you want alerts of {whose} to be sent to {channel.shown_target}?"
    if not channel.is_unconfirmed:
        context["done"] = f"Alerts of {whose} are sent to {channel.shown_target}"
    return TemplateResponse(request, "panel/confirm_link.html", context)
