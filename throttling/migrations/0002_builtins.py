from django.db import migrations

from core.names import fold

DEFAULT_TEMPLATE = "Default"
AUTOMATIC_BACKOFF = "Automatic Backoff"


def create(apps, schema_editor):
    """The template that unnamed addresses get, unlimited, and GreenArrow's built-in program."""
    rule_set = apps.get_model("throttling", "RuleSet").objects.create(
        kind="template", max_concurrent_connections=0, max_messages_per_hour=0
    )
    apps.get_model("throttling", "ThrottlingTemplate").objects.create(
        name=DEFAULT_TEMPLATE, name_key=fold(DEFAULT_TEMPLATE), rules=rule_set, is_default=True
    )
    apps.get_model("throttling", "ThrottleProgram").objects.create(
        name=AUTOMATIC_BACKOFF,
        name_key=fold(AUTOMATIC_BACKOFF),
        is_builtin=True,
        backoff_connections_mode="percent",
        backoff_connections_value=25,
        backoff_messages_mode="percent",
        backoff_messages_value=25,
        return_after_seconds=3600,
        failure_rate=None,
        deferral_rate=50,
    )


def remove(apps, schema_editor):
    """Only what `create` made goes; the tables are dropped right after."""
    template = apps.get_model("throttling", "ThrottlingTemplate").objects.filter(is_default=True)
    rule_sets = list(template.values_list("rules_id", flat=True))
    template.delete()
    apps.get_model("throttling", "RuleSet").objects.filter(pk__in=rule_sets).delete()
    apps.get_model("throttling", "ThrottleProgram").objects.filter(is_builtin=True).delete()


class Migration(migrations.Migration):
    dependencies = [("throttling", "0001_squashed")]

    operations = [migrations.RunPython(create, remove)]
