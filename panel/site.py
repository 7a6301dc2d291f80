"""The admin site: unfold's, with our search, and fewer queries per page."""

from typing import Any

from django.apps import apps
from django.contrib.admin.views.autocomplete import AutocompleteJsonView
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from unfold.sites import UnfoldAdminSite

from panel import navigation, search
from panel.customers import Customers
from panel.dashboard.alerts import Alerts
from panel.explorer.page import Explorer
from panel.help_pages import Help
from panel.lists import BoundedPaginator
from panel.record_actions import is_within_page
from panel.refusals import Refusals
from panel.saved_filters import SavedFilters
from panel.sign_in.account import Account
from panel.sign_in.invitations import Invitations
from panel.sign_in.login import SignIn
from panel.sign_in.passwords import Passwords
from panel.sign_in.single_sign_on import SingleSignOn
from panel.usage import Usage


class Choices(AutocompleteJsonView):
    """Django's look-up of choices, with the labels of each page."""

    def get_paginator(self, queryset: Any, per_page: int, *args: Any, **kwargs: Any) -> BoundedPaginator:
        """Count the page and one more: all that is told is whether there is another."""
        paginator = BoundedPaginator(queryset, per_page, *args, **kwargs)
        number = self.request.GET.get(self.page_kwarg, "1")
        if number.isdecimal() and len(number) < 6:
            paginator.most = int(number) * per_page + 1
        return paginator

    def serialize_result(self, obj: Any, to_field_name: str) -> dict[str, Any]:
        label = getattr(self.model_admin, "choice_label", str)(obj)
        return {**super().serialize_result(obj, to_field_name), "text": label}


class PanelSite(
    SignIn,
    SingleSignOn,
    Passwords,
    Account,
    Invitations,
    Alerts,
    Customers,
    Usage,
    Explorer,
    Refusals,
    SavedFilters,
    Help,
    UnfoldAdminSite,
):
    """The panel."""

    index_template = "panel/dashboard.html"

    def get_app_list(self, request: HttpRequest, app_label: str | None = None) -> list[Any]:
        """The models of one app. That of all apps, which Django asks of each page, is shown nowhere, and takes a fifth of a
        page's time."""
        return super().get_app_list(request, app_label) if app_label else []

    def get_sidebar_list(self, request: HttpRequest) -> list[dict[str, Any]]:
        """The sidebar, whole: unfold copies it, and looks for badges, tabs and permissions that ours does not have."""
        return navigation.sidebar(request)

    def app_index(
        self, request: HttpRequest, app_label: str, extra_context: dict[str, Any] | None = None
    ) -> TemplateResponse:
        title = apps.get_app_config(app_label).verbose_name
        return super().app_index(request, app_label, {"title": title, **(extra_context or {})})

    def autocomplete_view(self, request: HttpRequest) -> Any:
        return Choices.as_view(admin_site=self)(request)

    def search(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Answer the search box; unlike unfold's, with respect for case (keys), and for what this person may see now."""
        text = request.GET.get("s", "").strip()
        if not is_within_page(request):
            # Opened by its address, by Enter in the field, or from a bookmark: a page of its own.
            results = search.find(request, text) if text else []
            if results and "go" in request.GET:
                # Enter was pressed before the list was there.
                return HttpResponseRedirect(results[0].link)
            context = {**self.each_context(request), "title": "Search", "search_term": text, "results": results}
            request.current_app = self.name
            return TemplateResponse(request, "panel/search.html", context)
        if not text:
            return HttpResponse()
        context = {"search_term": text, "results": search.find(request, text), **(extra_context or {})}
        return TemplateResponse(request, "panel/search_results.html", context, headers={"HX-Trigger": "search"})
