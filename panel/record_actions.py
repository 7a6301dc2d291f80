"""Actions on a record's page. Each opens a dialog that describes the change, and is sent by POST."""

from collections.abc import Callable
from functools import wraps
from typing import Any
from urllib.parse import urlsplit

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.enums import ActionVariant
from unfold.forms import BaseDialogForm

from core.errors import Refused
from panel.forms import errors
from panel.viewer import viewer_of

type Handler = Callable[..., HttpResponse | str | None]


class ActForm(BaseDialogForm):
    """The form of a dialog before the act; empty by default."""

    def __init__(self, *args: Any, record: Any = None, **kwargs: Any) -> None:
        self.record = record
        super().__init__(*args, **kwargs)


def act(
    *,
    title: str,
    description: str = "",
    submit: str = "",
    form: type[ActForm] = ActForm,
    icon: str = "",
    variant: ActionVariant = ActionVariant.DEFAULT,
    permission: str = "operate",
    fits: Callable[[Any], bool] | None = None,
) -> Callable[[Handler], Handler]:
    """Register a method `(self, request, record, form)` as an action in `actions_detail`.

    The method makes one call, and returns a message for the person, or a whole answer. What the call refuses is shown in the
    dialog. `fits` says for which records the button makes sense; `permission` is a `has_…_permission` of the page.
    """

    def decorate(handler: Handler) -> Handler:
        @wraps(handler)
        def view(admin: Any, request: HttpRequest, object_id: str) -> HttpResponse:
            record = admin.record_for(request, object_id, permission)
            asked = form(request, object_id, request.POST if request.method == "POST" else None, record=record)
            if request.method == "POST" and asked.is_valid():
                try:
                    return _answer(handler(admin, request, record, asked), request, admin.url_of(record.pk))
                except Refused as refusal:
                    errors.show(asked, refusal)
            context = {
                **({} if is_within_page(request) else admin.admin_site.each_context(request)),
                "base": "panel/dialog_only.html" if is_within_page(request) else "admin/base_site.html",
                "dialog": {"title": title, "description": description, "form_submit_text": submit or title},
                "form": asked,
                "record": record,
                "opts": admin.opts,
                "title": title,
                "back": admin.url_of(record.pk),
            }
            return TemplateResponse(request, "panel/act.html", context)

        attributes = {
            "allowed_permissions": [permission],
            "short_description": title,
            "icon": icon,
            "variant": variant,
            "dialog": {"title": title},
            "attrs": {},
            "extra_options": {},
            "original_function_name": handler.__name__,
            "fits": fits,
        }
        for name, value in attributes.items():
            setattr(view, name, value)
        return view

    return decorate


def _answer(answer: HttpResponse | str | None, request: HttpRequest, url: str) -> HttpResponse:
    if isinstance(answer, HttpResponse):
        return answer
    if answer:
        messages.success(request, answer)
    return leave(request, url)


def is_within_page(request: HttpRequest) -> bool:
    """Whether the dialog is loaded into an existing page (by htmx), not opened as a separate page."""
    return request.headers.get("HX-Request") == "true"


def page_below(request: HttpRequest, url: str) -> str:
    """Return the page that a dialog is opened on, which may be of another record; `url` where it is a page of its own."""
    try:
        below = urlsplit(request.headers.get("HX-Current-URL", ""))
    except ValueError:
        # No browser says so. What was asked for is done by now.
        return url
    if not is_within_page(request) or not below.path.startswith(reverse("admin:index")):
        return url
    return f"{below.path}?{below.query}" if below.query else below.path


def leave(request: HttpRequest, url: str) -> HttpResponse:
    """Redirect the browser, also from a dialog, which leads to the page below it."""
    if is_within_page(request):
        return HttpResponse(headers={"HX-Redirect": page_below(request, url)})
    return HttpResponseRedirect(url)


def actor_of(request: HttpRequest) -> Any:
    """Return the actor of this request."""
    return viewer_of(request).actor
