from django.db import migrations

from stats.ledger import storage

HOUR, DAY = 2, 3
# Buckets that are added up in one transaction, by grain: a month of each.
STEPS = {HOUR: 31 * 24, DAY: 31}
KINDS = ("incoming", "sent", "deferred", "bounced", "held", "spam", "complaint", "late_bounce")
# The tables, what each is the sum of, and its keys.
TABLES = (
    ("stats_platformcount", "stats_servercount", "grain, bucket"),
    ("stats_platformprovidercount", "stats_serverprovidercount", "grain, bucket, provider_id"),
)


def fill(apps, schema_editor):
    """Add up what all servers have counted. Folds wait for a step at most; one that was done already changes nothing."""
    for table, source, keys in TABLES:
        add_up(table, source, keys)


def add_up(table, source, keys):
    columns = ", ".join(KINDS)
    sums = ", ".join(f"CAST(sum({kind}) AS bigint)" for kind in KINDS)
    written = ", ".join(f"{kind} = excluded.{kind}" for kind in KINDS)
    for grain, step in STEPS.items():
        ((first, last),) = storage.fetch(f"SELECT min(bucket), max(bucket) FROM {source} WHERE grain = {grain:d}")
        for start in range(first, last + 1, step) if first is not None else ():
            with storage.aggregating():
                storage.wait_for_folds()
                storage.execute(
                    f"INSERT INTO {table} ({keys}, {columns}) SELECT {keys}, {sums}"
                    f" FROM {source} WHERE grain = {grain:d} AND bucket >= {start:d} AND bucket < {start + step:d}"
                    f" GROUP BY {keys} ON CONFLICT ({keys}) DO UPDATE SET {written}"
                )
            storage.yield_to_writers()


class Migration(migrations.Migration):
    atomic = False

    dependencies = [("stats", "0005_platform_counts")]

    operations = [migrations.RunPython(fill, migrations.RunPython.noop, hints={"ledger": True})]
