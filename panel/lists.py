"""Change lists: allowed filters, and rows with statistics."""

from typing import Any

from django.contrib.admin.exceptions import DisallowedModelAdminLookup
from django.http import HttpRequest
from django.utils.text import capfirst
from unfold.views import ChangeList


class PanelChangeList(ChangeList):
    """A list with only its declared filters, whose rows can have statistics."""

    def __init__(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().__init__(request, *args, **kwargs)
        # Django's: "Select server to change".
        self.title = capfirst(str(self.opts.verbose_name_plural))

    def get_filters(self, request: HttpRequest) -> Any:
        """Return Django's filters. An unknown parameter is refused with 400.

        Django would take it for a look-up on a column: `?password__startswith=…` on the users would be answered with one row or
        none, and so tell any column of the table, character by character, to people who may only look at the list.
        """
        found = super().get_filters(request)
        left = found[2]
        of_dates = {f"{self.date_hierarchy}__{end}" for end in ("gte", "lt")} if self.date_hierarchy else set()
        if unknown := sorted(set(left) - of_dates):
            raise DisallowedModelAdminLookup(f"{self.opts.verbose_name_plural} cannot be filtered by {unknown[0]}.")
        return found

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        rows = list(vars(self)["result_list"])
        self.result_list = rows
        self.model_admin.decorate_rows(request, rows)
