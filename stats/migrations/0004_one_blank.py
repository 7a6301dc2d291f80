from django.db import migrations

from core.refolding import one_blank


class Migration(migrations.Migration):
    dependencies = [("stats", "0003_consumers_of_batches")]

    operations = [one_blank("stats.EventSource", "stats.IngestToken")]
