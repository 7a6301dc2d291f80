"""The page behind the link in a weekly report, which stops the reports without signing in.

A mail program may post to it by itself (RFC 8058, one click); a person who follows the link is asked, as programs that look
at links before people do open it.
"""

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from alerts import reports
from core.audit import Actor
from core.errors import NotFound


@csrf_exempt
@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def stop_reports(request: HttpRequest, token: str) -> HttpResponse:
    """Ask (GET), or stop the reports (POST). The link is signed: nothing else says who asks."""
    context = admin.site.each_context(request) | {"title": "Weekly reports"}
    try:
        user, organization = reports.of_token(token)
        if request.method == "POST":
            reports.stop_reports(user=user, organization=organization, actor=Actor.of_user(user))
    except NotFound as refusal:
        return TemplateResponse(request, "panel/stop_reports.html", {**context, "problem": refusal.message}, status=404)
    context |= {"organization": organization, "is_done": request.method == "POST"}
    return TemplateResponse(request, "panel/stop_reports.html", context)
