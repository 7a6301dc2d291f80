"""Indexes by which the search finds parts of names, where PostgreSQL has pg_trgm and lets it be created."""

from django.db import DatabaseError, migrations, transaction

# Of tables that grow with the platform, by column or expression.
SEARCHED = (
    ("servers_organization", "name_key"),
    ("servers_organization", "permalink"),
    ("servers_server", "name_key"),
    ("servers_server", "permalink"),
    ("servers_domain", "name"),
    ("ippools_ippool", "name_key"),
    ("ippools_virtualmta", "name_key"),
    ("ippools_ipaddress", "hostname_key"),
    ("ippools_ipaddress", "host(ipv4)"),
    ("ippools_ipaddress", "host(ipv6)"),
    ("ippools_overridedomain", "pattern"),
    ("throttling_ruledomain", "pattern"),
    ("core_user", "username"),
    ("core_user", "email"),
)


def create(apps, schema_editor):
    connection = schema_editor.connection
    if connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        try:
            with transaction.atomic(using=connection.alias):
                cursor.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
        except DatabaseError:
            # Not installed, or not for this role: the search finds the same, by going through all names.
            return
        for table, column in SEARCHED:
            # Names are written seldom, and looked for at once.
            made = f"{_name(table, column)} ON {table} USING gin ({column} gin_trgm_ops) WITH (fastupdate = off)"
            cursor.execute(f"CREATE INDEX IF NOT EXISTS {made}")


def drop(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        for table, column in SEARCHED:
            schema_editor.execute(f"DROP INDEX IF EXISTS {_name(table, column)}")


def _name(table, column):
    return f"{table}_{column.removeprefix('host(').removesuffix(')')}_parts"


class Migration(migrations.Migration):
    dependencies = [
        ("core", "0002_audit_append_only"),
        ("ippools", "0002_listed_first"),
        ("servers", "0006_one_blank"),
        ("throttling", "0005_builtin_warm_up_plans"),
    ]

    operations = [migrations.RunPython(create, drop)]
