"""The base classes of the panel's pages: record visibility, and changes by the same functions as the API."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache, partial
from typing import Any, ClassVar

from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.contrib.admin.options import IncorrectLookupParameters
from django.contrib.admin.utils import quote, unquote
from django.core.exceptions import BadRequest, PermissionDenied
from django.db.models import BigIntegerField, DateField, DateTimeField, ForeignKey, IntegerField, QuerySet
from django.forms import ModelChoiceField, SplitDateTimeField
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.text import slugify
from unfold.admin import ModelAdmin as UnfoldAdmin
from unfold.admin import checkbox
from unfold.dataclasses import UnfoldAction

from core.audit import snapshot
from core.models import User
from core.references import whole_id
from panel import csv_file, deletion, history, list_export, long_work, saved_filters, without_counts
from panel.forms import errors
from panel.forms.base import ActingForm
from panel.forms.fields import DateAndTime, LookUp, RecordField, RecordsField, WholeNumber, day
from panel.forms.previews import Effect
from panel.lists import BoundedPaginator, PanelChangeList, Ranking
from panel.pages.rights import Rights
from panel.search_terms import is_searchable
from panel.viewer import Viewer
from servers.access import organizations_of

_IS_EXPORT = "_sluice_is_export"
# SQLite takes some 30,000 parameters in a statement.
_BATCH = 10_000


@cache
def _box() -> tuple[SafeString, SafeString]:
    """Return what stands before and after the id in a box; a template for each row's would be a seventh of a list."""
    mark = "the-id-of-a-record"
    before, _, after = checkbox.render(ACTION_CHECKBOX_NAME, mark).partition(mark)
    return mark_safe(before), mark_safe(after)  # noqa: S308 - of the widget


class PanelAdmin(Rights):
    """The page of a platform record: only the platform's staff can view it, by their permissions."""

    form = ActingForm
    formfield_overrides: ClassVar[dict[Any, Any]] = {
        DateTimeField: {"form_class": SplitDateTimeField, "widget": DateAndTime},
        DateField: {"widget": day()},
        IntegerField: {"form_class": WholeNumber},
        BigIntegerField: {"form_class": WholeNumber},
    }
    delete_confirmation_template = "panel/delete.html"
    empty_value_display = "—"
    list_per_page, list_max_show_all = 50, 200
    show_full_result_count = False
    paginator = BoundedPaginator
    list_filter_submit = True
    list_fullwidth = True
    list_before_template = "panel/parts/file_tools.html"
    warn_unsaved_form = True
    # None of our forms hides fields by others. Without the attribute, Django's templates go through all that there are.
    conditional_fields: ClassVar[dict[str, str]] = {}

    # --- Choices of a form ---------------------------------------------------------------------------------------------------

    def formfield_for_foreignkey(
        self, db_field: ForeignKey, request: HttpRequest, **kwargs: Any
    ) -> ModelChoiceField | None:
        # Users can choose only records that they can view.
        remote = self.admin_site._registry.get(db_field.remote_field.model)
        if remote is not None and "queryset" not in kwargs:
            kwargs["queryset"] = getattr(remote, "choices_of", remote.get_queryset)(request)
        kwargs.setdefault("form_class", RecordField)
        if "widget" not in kwargs and db_field.name in self.get_autocomplete_fields(request):
            kwargs["widget"] = LookUp(db_field, self.admin_site, using=kwargs.get("using"))
        field = super().formfield_for_foreignkey(db_field, request, **kwargs)
        if field is not None and isinstance(remote, PanelAdmin):
            field.label_from_instance = remote.choice_label
        return field

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        kwargs.setdefault("form_class", RecordsField)
        return super().formfield_for_manytomany(db_field, request, **kwargs)

    # What `choice_label` reads besides the record.
    choice_related: ClassVar[tuple[str, ...]] = ()

    def choice_label(self, record: Any) -> str:
        """Return the record's label in choices."""
        return str(record)

    def _get_obj_does_not_exist_redirect(self, request: HttpRequest, opts: Any, object_id: str) -> HttpResponse:
        # Django's leads to the dashboard, and says that the record "doesn't exist".
        raise Http404

    # --- Lists -------------------------------------------------------------------------------------------------------

    # Columns that a list can be ordered by though the table has none, and those of them whose greatest value comes first.
    rankings: ClassVar[Mapping[str, Ranking]] = {}
    greatest_first: ClassVar[tuple[str, ...]] = ()
    # Columns of the table that a list does not show, and that are too large to be read for each of its rows.
    unlisted: ClassVar[tuple[str, ...]] = ()

    def get_search_fields(self, request: HttpRequest) -> list[str]:
        """Return the searched columns; e-mail addresses only for users who can view accounts.

        A search that matches parts of an address that the list does not show tells it letter by letter.
        """
        accounts: Any = self.admin_site._registry.get(User)
        if accounts is not None and accounts.has_view_permission(request):
            return list(self.search_fields)
        return [name for name in self.search_fields if "email" not in name]

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Return the records that a text finds, for lists and for the choices of a field."""
        if not is_searchable(search_term):
            return queryset.none(), False
        return super().get_search_results(request, queryset, search_term)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[PanelChangeList]:
        return list_export.WholeList if getattr(request, _IS_EXPORT, False) else PanelChangeList

    def file_tools(self, request: HttpRequest) -> list[tuple[str, str]]:
        """Return the links above the list: title and URL."""
        return [("Export", self.export_url(request, "list_export"))]

    def export_url(self, request: HttpRequest, view: str) -> str:
        """Return the URL of a file of the list as it is filtered."""
        query = request.GET.urlencode()
        url = reverse(f"{self.admin_site.name}:{self.opts.app_label}_{self.opts.model_name}_{view}")
        return f"{url}?{query}" if query else url

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        above = {"file_tools": self.file_tools(request), **saved_filters.context_of(self, request)}
        return super().changelist_view(request, {**above, **(extra_context or {})})

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.list_export_view)
        name = f"{self.opts.app_label}_{self.opts.model_name}_list_export"
        return [path("list.csv", view, name=name), *super().get_urls()]

    def filtered(self, request: HttpRequest) -> Any:
        """Return the list as the address filters it, for a file; what cannot be read is a bad request."""
        try:
            return self.get_changelist_instance(request)
        except IncorrectLookupParameters:
            raise BadRequest("The list cannot be filtered so") from None

    @long_work.few_at_once
    def list_export_view(self, request: HttpRequest) -> HttpResponse:
        """Return a CSV file of the list's columns and of the rows that its filters leave."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        setattr(request, _IS_EXPORT, True)
        name = f"{slugify(self.opts.verbose_name_plural)}.csv"
        try:
            found = self.filtered(request)
        except list_export.TooManyRows as refusal:
            messages.error(request, f"Not exported. {errors.sentence(refusal.message)}.")
            return HttpResponseRedirect(self.export_url(request, "changelist"))
        return csv_file.answer(name, list_export.columns(self, found), list_export.rows(self, found))

    @admin.display(description=UnfoldAdmin.action_checkbox.short_description)
    def action_checkbox(self, obj: Any) -> SafeString:
        """Return the box that chooses a record."""
        before, after = _box()
        return format_html("{}{}{}", before, obj.pk, after)

    def decorate_rows(self, request: HttpRequest, records: list[Any]) -> None:
        """Add data of columns to the records of one page of the list."""

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        # Django's would delete without the acts.
        return {name: each for name, each in super().get_actions(request).items() if name != "delete_selected"}

    def response_action(self, request: HttpRequest, queryset: QuerySet[Any]) -> HttpResponse | None:
        """Perform a list action; a chosen id that no record can have is a bad request: neither database can look for it."""
        if not all(whole_id(each) for each in request.POST.getlist(ACTION_CHECKBOX_NAME)):
            raise BadRequest("A chosen record has no such id")
        return super().response_action(request, queryset)

    def allowed_ids(self, request: HttpRequest, ids: list[int], permission: str) -> list[int]:
        """Return the ids of those of the records for which the person has a `has_…_permission` of this page."""
        is_allowed = getattr(self, f"has_{permission}_permission")
        batches = (ids[start : start + _BATCH] for start in range(0, len(ids), _BATCH))
        records = (record for batch in batches for record in self.get_queryset(request).filter(pk__in=batch))
        return [record.pk for record in records if is_allowed(request, record)]

    def get_actions_detail(self, request: HttpRequest, object_id: int | str) -> list[UnfoldAction]:
        """Return the actions of a record's page that are allowed and that its state permits."""
        record = self.seen(request, object_id)
        return [
            each
            for each in super().get_actions_detail(request, object_id)
            if (fits := getattr(each.method, "fits", None)) is None or (record is not None and fits(record))
        ]

    # --- A record's page ---------------------------------------------------------------------------------------------

    def summary_of(self, request: HttpRequest, record: Any) -> dict[str, Any]:
        """Return the context of the summary above the form."""
        return {}

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        response = super().changeform_view(request, object_id, form_url, extra_context)
        # Only where a page is shown, to whoever may see it: not before a redirect or a refusal.
        if isinstance(response, TemplateResponse) and object_id and (record := self.seen(request, object_id)):
            summary = without_counts.read(request, lambda: self.summary_of(request, record)) or {}
            response.context_data = {**(response.context_data or {}), **summary}
        return response

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """Return what the address fills in. Not times, whose two fields take no text."""
        given = super().get_changeform_initial_data(request)
        times = {field.name for field in self.opts.get_fields() if isinstance(field, DateTimeField)}
        return {name: value for name, value in given.items() if name not in times}

    # --- Deletion ----------------------------------------------------------------------------------------------------

    def delete_act(self, request: HttpRequest, record: Any) -> None:
        """Delete the record by its act."""
        raise NotImplementedError(f"{type(self).__name__} does not define delete_act()")

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        self.delete_act(request, obj)

    def is_kept(self, record: Any) -> bool:
        """Whether such a record is never deleted: its page has no button for it, and the page to delete it says why."""
        return False

    def consequences(self, record: Any) -> Sequence[str]:
        """Return the consequences of deleting the record, a line each."""
        return []

    def obstacles(self, request: HttpRequest, record: Any) -> Sequence[str]:
        """Return why the record cannot be deleted, a sentence each; empty if it can."""
        return deletion.obstacles(self, request, record)

    def get_deleted_objects(
        self, objs: Iterable[Any], request: HttpRequest
    ) -> tuple[list[str], dict[str, int], set[str], list[str]]:
        # Django's would read everything that hangs on the record, which grows with its rows.
        lines = [line for record in objs for line in self.consequences(record)]
        tried = deletion.rehearsed(request, objs)
        return lines, {}, set(), [line for record in tried for line in self.obstacles(request, record)]

    def delete_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        context = {**(extra_context or {}), "back": self.url_of(unquote(object_id))}
        page = partial(super().delete_view, object_id=object_id, extra_context=context)
        return deletion.answer(self, request, unquote(object_id), page)

    # --- History -----------------------------------------------------------------------------------------------------

    # The keys of a state that `restore` gives back to a record; empty: its history can be read, not gone back to.
    restorable: Sequence[str] = ()
    # Whether the audit trail tells of such records; what tells of others has no history of its own.
    has_history = True

    def state_of(self, record: Any) -> dict[str, Any]:
        """Return the record's current state in the form of the audit trail."""
        return snapshot(record)

    def restore(self, request: HttpRequest, record: Any, state: dict[str, Any]) -> None:
        """Restore earlier values, with the function that changes the record. `state` has the restorable fields."""
        raise NotImplementedError(f"{type(self).__name__} does not define restore()")

    def state_before(self, record: Any) -> Any:
        """Return the current state that `effect` compares with."""
        return None

    def effect(self, record: Any, before: Any) -> Effect | None:
        """Return the effects of a change on other records, for the preview; None: nothing."""
        return None

    def history_view(
        self, request: HttpRequest, object_id: str, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_history:
            raise Http404
        return history.page(self, request, object_id)

    # --- Addresses ---------------------------------------------------------------------------------------------------

    def url_of(self, object_id: Any, page: str = "change") -> str:
        name = f"{self.admin_site.name}:{self.opts.app_label}_{self.opts.model_name}_{page}"
        return reverse(name, args=[quote(object_id)])


class TenantAdmin(PanelAdmin):
    """The page of an organization's record, which members can view and, by role, change."""

    # The way from the record to its organization, as in a look-up.
    organization_path = "organization"

    def visible_to(self, viewer: Viewer, records: QuerySet[Any]) -> QuerySet[Any]:
        if viewer.is_platform:
            return records
        return records.filter(**{f"{self.organization_path}__in": organizations_of(viewer.user)})

    def organization_id_of(self, record: Any) -> int | None:
        """Return the id of the organization whose record it is; None: the platform's own."""
        for step in self.organization_path.split("__")[:-1]:
            record = getattr(record, step)
        return getattr(record, f"{self.organization_path.split('__')[-1]}_id")

    def role_allows(self, viewer: Viewer, verb: str, record: Any | None) -> bool:
        if record is None:
            return bool(viewer.roles) if verb == "view" else viewer.changes_any
        organization_id = self.organization_id_of(record)
        return viewer.sees(organization_id) if verb == "view" else viewer.changes(organization_id)


class ReadOnlyAdmin(PanelAdmin):
    """A read-only page of rows that the platform writes."""

    is_added = is_changed = is_deleted = False
    has_history = False
