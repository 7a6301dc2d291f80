from django.db import migrations

from core.refolding import one_blank


class Migration(migrations.Migration):
    dependencies = [("nodes", "0001_squashed")]

    operations = [one_blank("nodes.Node")]
