"""Shared by routes and webhooks of servers: create, change, delete, with audit entries."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from core.acts import locked, save_change
from core.audit import Actor, record, snapshot
from core.errors import Fault, Invalid, NotFound
from servers.models import Route, Server, Webhook


@dataclass(frozen=True, slots=True)
class OwnedRecords[Part: (Route, Webhook)]:
    """A kind of part: the columns that acts may set, those of them whose outer blanks go, and what can be wrong with it.

    Its methods belong inside a transaction (`core.atomic_acts.atomic_act`).
    """

    model: type[Part]
    changeable: frozenset[str]
    stripped: frozenset[str]
    faults_of: Callable[[Part], Iterable[Fault]]

    def create(self, server: Server, columns: Mapping[str, Any], actor: Actor) -> Part:
        """Make one; raises Invalid, and NotFound where the server is deleted."""
        if not Server.objects.living().filter(pk=server.pk).exists():
            raise NotFound("The server could not be found")
        part = self.model(server=server)
        self._assign(part, columns)
        part.save(force_insert=True)
        self._record(actor, "created", part, after=snapshot(part))
        return part

    def change(self, part: Part, changes: Mapping[str, Any], actor: Actor) -> Part:
        """Change what is named; raises Invalid and NotFound."""
        changed = self._locked(part)
        before = snapshot(changed)
        self._assign(changed, changes)
        save_change(
            changed, before, act=self._act("changed"), actor=actor, organization_id=changed.server.organization_id
        )
        return changed

    def delete(self, part: Part, actor: Actor) -> None:
        """Delete it; raises NotFound."""
        deleted = self._locked(part)
        self._record(actor, "deleted", deleted, before=snapshot(deleted))
        deleted.delete()

    def _assign(self, part: Part, columns: Mapping[str, Any]) -> None:
        if unknown := set(columns) - self.changeable:
            raise TypeError(f"{', '.join(sorted(unknown))} cannot be set by this act")
        for name, value in columns.items():
            setattr(part, name, value.strip() if name in self.stripped else value)
        if faults := [*self.faults_of(part)]:
            raise Invalid(*faults)

    def _locked(self, part: Part) -> Part:
        return locked(self.model._default_manager.select_related("server"), part.pk)

    def _act(self, verb: str) -> str:
        return f"{self.model._meta.model_name}.{verb}"

    def _record(self, actor: Actor, verb: str, part: Part, **states: Any) -> None:
        organization_id = part.server.organization_id
        record(actor=actor, act=self._act(verb), target=part, organization_id=organization_id, **states)
