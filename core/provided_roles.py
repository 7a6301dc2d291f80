"""Which groups of an OpenID provider give which roles: SLUICE_OIDC_ROLES, read without a database.

`mail-admins=superuser, mail-ops=group:Operators, acme-it=acme/operator`: a group of the provider, and what its people are: a
superuser, in a group of permissions, or in a role of the organization with this permalink.
"""

from collections.abc import Iterable
from dataclasses import dataclass

SUPERUSER, GROUP = "superuser", "group:"
ROLES = ("owner", "operator", "analyst")


class BadRole(ValueError):
    """An entry that cannot be read; has the reason."""


@dataclass(frozen=True, slots=True)
class Rule:
    """People in `group` of the provider get one of these."""

    group: str
    is_superuser: bool = False
    # The name of a group of permissions.
    permissions: str = ""
    # An organization's permalink, and the role in it.
    organization: str = ""
    role: str = ""

    @property
    def is_platforms(self) -> bool:
        return not self.organization


def rules_of(entries: Iterable[str]) -> tuple[Rule, ...]:
    """Return the rules; raises BadRole."""
    return tuple(_rule(entry) for entry in entries)


def _rule(entry: str) -> Rule:
    # Groups may have a "=" in their name, roles have none.
    group, _, given = (part.strip() for part in entry.rpartition("="))
    if not group or not given:
        raise BadRole(f"{entry} must be a group of the provider, =, and a role")
    if given == SUPERUSER:
        return Rule(group, is_superuser=True)
    if given.startswith(GROUP) and given != GROUP:
        return Rule(group, permissions=given.removeprefix(GROUP))
    organization, _, role = given.partition("/")
    if not organization or role not in ROLES:
        raise BadRole(
            f"{given} must be superuser, group:NAME, or a permalink with owner, operator or analyst: acme/operator"
        )
    return Rule(group, organization=organization, role=role)
