import django.db.models.deletion
from django.db import migrations, models

import core.encryption


def keep_what_is_published(apps, schema_editor):
    """Keep token, selector and key of the domains that are there; of several of an organization, the oldest one's."""
    keys, domains = apps.get_model("servers", "DomainKey"), apps.get_model("servers", "Domain")
    columns = ("name", "verification_token", "dkim_identifier", "dkim_private_key", "dkim_public_key")
    rows = domains.objects.exclude(dkim_private_key="").order_by("pk").values_list("server__organization_id", *columns)
    kept = (
        keys(organization_id=organization_id, **dict(zip(columns, values, strict=True)))
        for organization_id, *values in rows.iterator(chunk_size=1_000)
    )
    keys.objects.bulk_create(kept, batch_size=1_000, ignore_conflicts=True)


class Migration(migrations.Migration):
    dependencies = [("servers", "0001_initial")]

    operations = [
        migrations.CreateModel(
            name="DomainKey",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(max_length=253)),
                ("verification_token", models.CharField(editable=False, max_length=64)),
                ("dkim_identifier", models.CharField(editable=False, max_length=32)),
                ("dkim_private_key", core.encryption.CiphertextField(editable=False)),
                ("dkim_public_key", models.TextField(editable=False)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "organization",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="domain_keys",
                        to="servers.organization",
                    ),
                ),
            ],
            options={
                "ordering": ["name"],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("organization", "name"),
                        name="servers_domainkey_unique",
                        violation_error_message="The organization has a key for this name already",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("name", ""), _negated=True),
                        name="servers_domainkey_name_not_empty",
                        violation_error_message="A key needs the name of a domain",
                    ),
                ],
            },
        ),
        migrations.RunPython(keep_what_is_published, migrations.RunPython.noop, elidable=True),
    ]
