from django.db import migrations, models
from django.db.models import Q


def lower(apps, schema_editor):
    """More than all of a limit meant all of it: a backoff never raised one."""
    programs = apps.get_model("throttling", "ThrottleProgram").objects
    for name in ("backoff_connections", "backoff_messages"):
        programs.filter(**{f"{name}_mode": "percent", f"{name}_value__gt": 100}).update(**{f"{name}_value": 100})


class Migration(migrations.Migration):
    dependencies = [("throttling", "0002_builtins")]

    operations = [
        migrations.RunPython(lower, migrations.RunPython.noop),
        migrations.AddConstraint(
            model_name="throttleprogram",
            constraint=models.CheckConstraint(
                condition=(~Q(backoff_connections_mode="percent") | Q(backoff_connections_value__lte=100))
                & (~Q(backoff_messages_mode="percent") | Q(backoff_messages_value__lte=100)),
                name="throttling_program_percent",
                violation_error_message="A backoff lowers the limits: it is at most 100 percent of them",
            ),
        ),
    ]
