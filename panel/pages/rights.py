"""Who sees and changes which records, by each page."""

from typing import Any

from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest

from panel.pages.saving import Saving
from panel.viewer import Viewer, viewer_of


class Rights(Saving):
    """Base of all pages: the platform's staff by their permissions, people of organizations by their roles."""

    # Whether there is an act for it. Without one, no user can do it, whatever their permissions.
    is_added = True
    is_changed = True
    is_deleted = True

    def visible_to(self, viewer: Viewer, records: QuerySet[Any]) -> QuerySet[Any]:
        """Return the records that this user can view."""
        return records if viewer.is_platform else records.none()

    def role_allows(self, viewer: Viewer, verb: str, record: Any | None) -> bool:
        """Whether a role in an organization lets a person `view`, `add`, `change` or `delete`; no record: any at all."""
        return False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return self.visible_to(viewer_of(request), super().get_queryset(request))

    def get_object(self, request: HttpRequest, object_id: str, from_field: str | None = None) -> Any | None:
        """Return the record, read once per request that only shows it: Django, unfold and `seen` each ask for it."""
        if request.method != "GET" or from_field is not None:
            return super().get_object(request, object_id, from_field)
        cache = request.__dict__.setdefault("_sluice_found", {})
        key = self.model, str(object_id)
        if key not in cache:
            cache[key] = super().get_object(request, object_id)
        return cache[key]

    def seen(self, request: HttpRequest, object_id: object) -> Any | None:
        """Return the record with this id if the user can view it, looked up once per request."""
        cache = request.__dict__.setdefault("_sluice_seen", {})
        key = self.model, str(object_id)
        if key not in cache:
            cache[key] = self.get_object(request, unquote(str(object_id)))
        return cache[key]

    def record_for(self, request: HttpRequest, object_id: object, permission: str = "change") -> Any:
        """Return the record with this id if the user has the permission (of a `has_…_permission`) for it.

        Raises Http404 where it was deleted meanwhile or is not theirs to view, for those who may do it to others.
        """
        record = self.seen(request, object_id)
        if not getattr(self, f"has_{permission}_permission")(request, record):
            raise PermissionDenied
        if record is None:
            raise Http404
        return record

    def _may(self, request: HttpRequest, verb: str, record: Any | None) -> bool:
        viewer = viewer_of(request)
        if not self.admin_site.has_permission(request):
            return False
        # unfold asks with the id where Django asks with the record.
        if record is not None and not isinstance(record, self.model):
            record = self.seen(request, record)
            if record is None:
                return False
        if not viewer.is_platform:
            return self.role_allows(viewer, verb, record)
        verbs = ("view", "change") if verb == "view" else (verb,)
        return any(request.user.has_perm(f"{self.opts.app_label}.{each}_{self.opts.model_name}") for each in verbs)

    def has_view_permission(self, request: HttpRequest, obj: Any | None = None) -> bool:
        return self._may(request, "view", obj)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.is_added and self._may(request, "add", None)

    def has_change_permission(self, request: HttpRequest, obj: Any | None = None) -> bool:
        return self.is_changed and self._may(request, "change", obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any | None = None) -> bool:
        return self.is_deleted and self._may(request, "delete", obj)

    def has_operate_permission(self, request: HttpRequest, obj: Any | None = None) -> bool:
        """Whether the user can run actions on the record."""
        return self._may(request, "change", obj)

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)
