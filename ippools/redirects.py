"""Redirects and routing between VirtualMTAs, which must not form loops."""

from collections.abc import Iterable

from django.db import connection

from core.errors import Faults
from core.references import Reference, resolve
from ippools.models import DeliveryTarget, VirtualMTA

NOUN = "VirtualMTA"


def validate_redirect(reference: Reference | None, *, pk: int | None, faults: Faults) -> int | None:
    """Return the id of the target VirtualMTA; `pk` is the id of the redirecting one, if it exists.

    The caller holds the lock of addresses: two redirects that only together make a loop would each pass alone.
    """
    found = resolve(VirtualMTA.objects.only("pk", "name_key"), [reference]).id_of(reference, "redirect", NOUN, faults)
    if found is not None and pk is not None:
        if found == pk:
            faults.add("redirect", "must not be the VirtualMTA itself")
        elif leads_to(pk, [found]):
            faults.add("redirect", "must not make a loop")
    return found


def leads_to(pk: int, starts: Iterable[int]) -> bool:
    """Return whether mail for one of these VirtualMTAs can reach the one with this id, by redirects and routing.

    One recursive query (UNION forgets what it has seen, so it ends on loops too).
    """
    virtual_mtas = connection.ops.quote_name(VirtualMTA._meta.db_table)
    targets = connection.ops.quote_name(DeliveryTarget._meta.db_table)
    found = sorted(set(starts))
    if pk in found:
        return True
    with connection.cursor() as cursor:
        for start in range(0, len(found), 500):
            batch = found[start : start + 500]
            marks = ", ".join(["%s"] * len(batch))
            cursor.execute(
                f"""
                WITH RECURSIVE edge(source, target) AS (
                    SELECT id, redirect_id FROM {virtual_mtas} WHERE redirect_id IS NOT NULL
                    UNION ALL SELECT routing_rule_id, virtual_mta_id FROM {targets}
                ), reached(id) AS (
                    SELECT target FROM edge WHERE source IN ({marks})
                    UNION SELECT edge.target FROM edge JOIN reached ON edge.source = reached.id
                )
                SELECT 1 FROM reached WHERE id = %s LIMIT 1
                """,  # noqa: S608 - table names of our own models
                [*batch, pk],
            )
            if cursor.fetchone():
                return True
    return False


def chain_of(virtual_mta: VirtualMTA, *, longest: int) -> list[VirtualMTA]:
    """Return the chain of redirects, up to a limit. Two queries, whatever its length."""
    virtual_mtas = connection.ops.quote_name(VirtualMTA._meta.db_table)
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            WITH RECURSIVE step(id, number) AS (
                SELECT redirect_id, 1 FROM {virtual_mtas} WHERE id = %s AND redirect_id IS NOT NULL
                UNION ALL SELECT base.redirect_id, step.number + 1 FROM {virtual_mtas} base
                JOIN step ON base.id = step.id WHERE base.redirect_id IS NOT NULL AND step.number < %s
            )
            SELECT id FROM step ORDER BY number
            """,  # noqa: S608 - a table name of our own model
            [virtual_mta.pk, longest],
        )
        ids = [pk for (pk,) in cursor.fetchall()]
    found = VirtualMTA.objects.in_bulk(ids)
    return [found[pk] for pk in ids if pk in found]
