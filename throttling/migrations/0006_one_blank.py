from django.db import migrations

from core.refolding import one_blank


class Migration(migrations.Migration):
    dependencies = [("throttling", "0005_builtin_warm_up_plans")]

    operations = [one_blank("throttling.WarmUpPlan", "throttling.ThrottleProgram", "throttling.ThrottlingTemplate")]
