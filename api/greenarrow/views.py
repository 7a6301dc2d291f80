"""The dialect's base viewsets: permissions, request bodies, and the five actions of a resource."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, cast

from django.db.models import QuerySet
from rest_framework import decorators
from rest_framework.request import Request

from api.bodies import parse_parameters
from api.greenarrow.authentication import Basic, level_of
from api.greenarrow.openapi import GreenArrowSchema
from api.greenarrow.pagination import Listed, Rows, Whole, page_request
from api.greenarrow.reading import Record
from api.greenarrow.renderers import renderer
from api.greenarrow.serializers import RowSerializer, page
from api.problems import Code, decline
from api.views import DialectViewSet
from core import replica
from core.audit import Actor
from core.errors import Fault, Invalid, NotFound
from core.models import User

# The stubs know only actions that return a Response.
action: Any = decorators.action

READ_ONLY = "Your API access is read-only"
THROTTLES_ONLY = "Your API access covers throttles only"
NO_ACCESS = "You don't have API access"


def found(rows: QuerySet[Any], pk: int) -> Any:
    """Return the record of this id; raises NotFound."""
    record = rows.filter(pk=pk).first()
    if record is None:
        raise NotFound(f"The {rows.model._meta.verbose_name} could not be found")
    return record


class GreenArrowViewSet(DialectViewSet):
    """A resource of GreenArrow's dialect. Actions return the `data` of a success, or raise."""

    renderer = renderer
    authentication_classes = [Basic]
    schema = GreenArrowSchema()
    # The key that bodies and answers hold a record under.
    root: ClassVar[str] = ""
    # By action, what a body and an answer's data hold, by key: the serializers that read and write, and OpenAPI. They are one
    # instance each for all requests, of which they hold nothing: making their fields anew takes longer than their work.
    bodies: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    answers: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    # Actions that users whose level is "throttles only" may read.
    statistics: ClassVar[frozenset[str]] = frozenset()
    # Actions that change nothing though they are asked by POST, which holds more than a URL can.
    reading_posts: ClassVar[frozenset[str]] = frozenset()
    # What `list` can be filtered by, where it answers by `page_of`.
    filterset_class: ClassVar[Any] = None

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Hold the verb against the user's API level; what only reads may do so from a replica."""
        super().initial(request, *args, **kwargs)
        reads = request.method in ("GET", "HEAD") or self.action in self.reading_posts
        self.hold_against_level(reads=reads)
        if reads and replica.is_there():
            verb = (request.method or "").lower()
            handler = getattr(self, verb)
            setattr(self, verb, lambda *given, **path: replica.read(lambda: handler(*given, **path)))

    def hold_against_level(self, *, reads: bool) -> None:
        """Refuse what the user's API level does not allow."""
        match level_of(self.user):
            case User.ApiLevel.YES:
                return
            case User.ApiLevel.READ_ONLY:
                if not reads:
                    raise decline(Code.NOT_ALLOWED, READ_ONLY)
            case User.ApiLevel.STATS_ONLY:
                if not (reads and self.action in self.statistics):
                    raise decline(Code.NOT_ALLOWED, THROTTLES_ONLY)
            case _:
                raise decline(Code.NOT_ALLOWED, NO_ACCESS)

    @property
    def user(self) -> User:
        """Who asks: `Basic` lets nobody else in."""
        return cast(User, self.request.user)

    @property
    def actor(self) -> Actor:
        """Who acts, for the audit trail."""
        return Actor.of_user(self.user)

    def given(self) -> dict[str, Any]:
        """Return what the body holds under its root key as the arguments of an act."""
        ((root, serializer),) = self.bodies[self.action].items()
        value = self.body_root(root)
        if not isinstance(value, dict):
            raise Invalid(Fault(root, "must be an object"))
        return serializer.read(value)

    def enveloped(self, record: Any) -> dict[str, Any]:
        """Return the answer that shows a record, or null."""
        serializer = self.answers[self.action][self.root]
        return {self.root: None if record is None else serializer.to_representation(record)}

    def filter_names(self) -> Sequence[str]:
        """Return the names of the filters that the action takes."""
        return list(self.filterset_class.base_filters) if self.filterset_class and self.action == "list" else []

    def page_of(self, plural: str, rows: Rows, *, whole: Listed | None = None) -> dict[str, Any]:
        """Return a page of the rows that the filters leave; `whole`: what is listed instead where none are given."""
        asked = page_request(self.request, filters=self.filter_names())
        if asked.filters:
            filtered = self.filterset_class(asked.filters, queryset=rows.queryset).qs
            return asked.answer(plural, replace(rows, queryset=filtered))
        return asked.answer(plural, whole or rows)

    def body_root(self, root: str) -> object:
        """Return whatever is under the root key; the body is JSON whatever its Content-Type says."""
        body = parse_parameters(self.body())
        if not isinstance(body, dict) or root not in body:
            raise decline(Code.MALFORMED, f'The request must be a JSON object with the key "{root}"')
        return body[root]


class RecordViewSet(GreenArrowViewSet):
    """A kind of record with all five actions: mostly declarations."""

    plural: ClassVar[str]
    acts: Any
    # The records with all that an answer needs.
    queryset: ClassVar[QuerySet[Any]]
    shown: ClassVar[type[Record]]
    new: ClassVar[type[Record]]
    changed: ClassVar[type[Record]]
    lookup_value_converter = "record_id"
    lookup_url_kwarg: ClassVar[str]
    whole: ClassVar[Whole]

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Say what the five actions take and answer; make the list of all records."""
        super().__init_subclass__(**kwargs)
        cls.whole = Whole(cls.queryset.model)
        record = {cls.root: cls.shown()}
        cls.bodies = {"create": {cls.root: cls.new()}, "update": {cls.root: cls.changed(partial=True)}, **cls.bodies}
        shown = dict.fromkeys(("create", "retrieve", "update"), record)
        cls.answers = {"list": page(cls.plural, RowSerializer()), **shown, "destroy": {}, **cls.answers}

    def record(self, pk: int) -> Any:
        """Return a record with all that its answer needs; raises NotFound."""
        return found(self.queryset, pk)

    def list(self, request: Request) -> dict[str, Any]:
        """List ids and names."""
        return self.page_of(self.plural, Rows(self.queryset.model._default_manager.all()), whole=self.whole)

    def create(self, request: Request) -> dict[str, Any]:
        """Create one."""
        return self.enveloped(self.answered(self.acts.create(actor=self.actor, **self.given())))

    def retrieve(self, request: Request, **path: int) -> dict[str, Any]:
        """Show one."""
        return self.enveloped(self.record(self.id_in(path)))

    def update(self, request: Request, **path: int) -> dict[str, Any]:
        """Change what is given."""
        return self.enveloped(self.answered(self.acts.change(self.id_in(path), actor=self.actor, **self.given())))

    def destroy(self, request: Request, **path: int) -> dict[str, Any]:
        """Delete one that nothing refers to."""
        self.acts.delete(self.id_in(path), actor=self.actor)
        return {}

    def answered(self, record: Any) -> Any:
        """Return what an act returned, with all that the answer needs."""
        return record

    def id_in(self, path: Mapping[str, int]) -> int:
        """Return the record's id, as the URL has it."""
        return path[self.lookup_url_kwarg]
