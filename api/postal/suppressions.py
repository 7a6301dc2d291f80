"""`suppressions/…`: the recipients that the key's server sends no more mail to. Postal has no such endpoints."""

from typing import Any

from django.db.models import F

from api.postal import parameters, serializers
from api.postal.problems import BAD_ADDRESS, FAR_EXPIRY, MANY_SUPPRESSIONS, NO_ORGANIZATION_WIDE, PAST_EXPIRY, refuse
from api.postal.views import Given, PostalViewSet, changes, page_of, reads
from servers.access import Caller
from servers.models import Organization, Server
from suppressions import acts, checking
from suppressions.models import Reason, Suppression


class SuppressionViewSet(PostalViewSet):
    """Suppressions of the key's server, and of all servers of its organization."""

    tag = "Postal: suppressions"

    @reads(
        "list",
        answers={"suppressions": serializers.Suppression(many=True), "pagination": serializers.Pagination()},
        takes=parameters.ListSuppressions,
    )
    def list(self, caller: Caller, given: Given) -> object:
        """The suppressions that stop mail of the key's server, newest first, a page at a time."""
        rows: Any = Suppression.objects.for_server(caller.server_id, caller.organization_id).active(self.now)
        if given["reason"] is not None:
            rows = rows.filter(reason=given["reason"])
        if given["address"] is not None:
            own = Organization.objects.filter(pk=caller.organization_id)
            rows = checking.with_address(rows, given["address"], organizations=own)
        # By the primary key itself PostgreSQL would go back through the suppressions of all organizations.
        newest_first = (F("pk") + 0).desc()
        found, pagination = page_of(rows.select_related("server").order_by(newest_first), given)
        return {"suppressions": found, "pagination": pagination}

    @changes(
        "add",
        answers={"added": serializers.Count(), "already_suppressed": serializers.Count()},
        takes=parameters.AddSuppressions,
        errors=(NO_ORGANIZATION_WIDE, BAD_ADDRESS, PAST_EXPIRY, FAR_EXPIRY, MANY_SUPPRESSIONS),
    )
    def add(self, caller: Caller, given: Given) -> object:
        """Suppress addresses; of those that are suppressed already, the later end counts."""
        written = acts.suppress(
            **_whose(caller, given),
            addresses=given["addresses"],
            reason=Reason.API,
            expires_at=given["expires_at"],
            at=self.now,
            actor=caller.actor,
        )
        return {"added": written.added, "already_suppressed": written.present}

    @changes(
        "remove",
        answers={"removed": serializers.Count()},
        takes=parameters.ChosenAddresses,
        errors=(NO_ORGANIZATION_WIDE, BAD_ADDRESS),
    )
    def remove(self, caller: Caller, given: Given) -> object:
        """Remove the suppressions of addresses; those that are not suppressed are ignored."""
        removed = acts.remove(**_whose(caller, given), addresses=given["addresses"], at=self.now, actor=caller.actor)
        return {"removed": removed}

    @reads("check", answers={"results": serializers.CheckedAddress(many=True)}, takes=parameters.ManyAddresses)
    def check(self, caller: Caller, given: Given) -> object:
        """Which of up to 1,000 addresses are suppressed for the key's server, in the order given."""
        found = checking.find(
            given["addresses"],
            server_id=caller.server_id,
            organization_id=caller.organization_id,
            organization_uuid=caller.organization_uuid,
            at=self.now,
        )
        return {
            "results": [
                {"address": address, "suppressed": each is not None, "suppression": each}
                for address, each in zip(given["addresses"], found, strict=True)
            ]
        }


def _whose(caller: Caller, given: Given) -> dict[str, Any]:
    """Return whose suppressions an act is about; declines where the key may not change those of the organization."""
    organization = Organization.objects.get(pk=caller.organization_id)
    if given["scope"] == "server":
        return {"organization": organization, "server": Server(pk=caller.server_id)}
    if not caller.can_manage_organization:
        raise refuse(NO_ORGANIZATION_WIDE)
    return {"organization": organization, "server": None}
