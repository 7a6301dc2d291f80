from django.db import migrations, models


def leave_room(apps, schema_editor):
    """Counts are updated again and again: with room on their pages PostgreSQL need not touch the index each time."""
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("ALTER TABLE stats_serverprovidercount SET (fillfactor = 80)")


class Migration(migrations.Migration):
    dependencies = [
        ("stats", "0010_reported_names"),
    ]

    operations = [
        migrations.CreateModel(
            name="ServerProviderCount",
            fields=[
                (
                    "grain",
                    models.SmallIntegerField(
                        choices=[(1, "minute"), (2, "hour"), (3, "day"), (4, "month"), (5, "year"), (6, "total")]
                    ),
                ),
                ("bucket", models.IntegerField()),
                ("incoming", models.BigIntegerField(default=0)),
                ("sent", models.BigIntegerField(default=0)),
                ("deferred", models.BigIntegerField(default=0)),
                ("bounced", models.BigIntegerField(default=0)),
                ("held", models.BigIntegerField(default=0)),
                ("spam", models.BigIntegerField(default=0)),
                ("complaint", models.BigIntegerField(default=0)),
                ("late_bounce", models.BigIntegerField(default=0)),
                ("server_id", models.BigIntegerField()),
                ("provider_id", models.SmallIntegerField()),
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "grain",
                        "bucket",
                        "server_id",
                        "provider_id",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
            ],
            options={
                "abstract": False,
            },
        ),
        migrations.RunPython(leave_room, migrations.RunPython.noop),
    ]
