"""Saved filters of lists: above each list its own, for the person who saved them."""

from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect, QueryDict
from django.urls import URLPattern, URLResolver, path, reverse

from core import saved_filters
from core.errors import Refused
from core.models import SavedFilter
from core.references import whole_id
from panel.forms import errors
from panel.site_mixin import SiteMixin

# Which page of the list, and how it was opened, is no part of a filter.
_NOT_KEPT = ("p", "e", "all", "_popup", "_to_field")


def query_of(given: QueryDict) -> str:
    """Return the part of a list's query string that filters, searches and orders it, always in the same order."""
    kept = given.copy()
    for name in _NOT_KEPT:
        kept.pop(name, None)
    pairs = sorted((name, value) for name, values in kept.lists() for value in values if value)
    found = QueryDict(mutable=True)
    for name, value in pairs:
        found.appendlist(name, value)
    return found.urlencode()


def context_of(page: Any, request: HttpRequest) -> dict[str, Any]:
    """Return the person's filters of this list for `panel/parts/file_tools.html`, and what could be saved. One query."""
    user: Any = request.user
    label = page.opts.label_lower
    query = query_of(request.GET)
    saved = [
        {"filter": each, "url": f"?{each.query}", "is_shown": each.query == query}
        for each in SavedFilter.objects.filter(user=user, page=label)
    ]
    return {
        "saved_filters": saved,
        "filtered_page": label,
        # What is saved already, and a list as it always is, need no further name.
        "filter_to_save": query if query and not any(each["is_shown"] for each in saved) else "",
    }


class SavedFilters(SiteMixin):
    """Mixin of the admin site: saving and deleting them."""

    def get_urls(self) -> list[URLResolver | URLPattern]:
        own = [path("saved-filters/", self.admin_view(self.change_saved_filters), name="saved_filters")]
        return [*own, *super().get_urls()]

    def change_saved_filters(self, request: HttpRequest) -> HttpResponse:
        """Save the filter of a list, or delete one, and go back to the list."""
        if request.method != "POST":
            return HttpResponseNotAllowed(["POST"])
        label = request.POST.get("page", "")
        page: Any = next((each for model, each in self._registry.items() if model._meta.label_lower == label), None)
        if page is None or not page.has_view_permission(request):
            raise PermissionDenied
        user: Any = request.user
        back = reverse(f"{self.name}:{label.replace('.', '_')}_changelist")
        if pk := whole_id(request.POST.get("delete", "")):
            if saved_filters.delete(user=user, pk=pk):
                messages.success(request, "The saved filter is deleted.")
            return HttpResponseRedirect(back)
        query = query_of(QueryDict(request.POST.get("query", "")[:10_000]))
        try:
            made = saved_filters.save(user=user, page=label, name=request.POST.get("name", ""), query=query)
        except Refused as refusal:
            messages.error(request, f"Not saved. {errors.sentence(refusal.message)}.")
        else:
            messages.success(request, f"“{made.name}” is saved: it stands above this list.")
        return HttpResponseRedirect(f"{back}?{query}" if query else back)
