"""Whom the second factor that an organization demands of its people concerns, shown before it is demanded."""

from core.texts import counted
from panel.forms.previews import Effect
from servers.models import Organization
from servers.required_factors import people_without


def effect(organization: Organization, *, was_required: bool) -> Effect | None:
    """Return who has to set one up; None: nobody has, or it was demanded before."""
    if was_required or not organization.requires_second_factor:
        return None
    lacking = [*people_without(organization).order_by("user__username").values_list("user__username", "role")]
    if not lacking:
        return None
    return Effect(
        f"{counted(len(lacking), 'member has', 'members have')} no second factor. Until they have set one up, they can do"
        " nothing else in the panel, and their passwords are refused by HTTP Basic.",
        [(username, role, "sets it up at the next page") for username, role in lacking],
    )


def both(first: Effect | None, second: Effect | None) -> Effect | None:
    """Return two effects of one change as one."""
    if first is None or second is None:
        return first or second
    return Effect(f"{first.summary} {second.summary}", [*first.lines, *second.lines], [*first.notes, *second.notes])
