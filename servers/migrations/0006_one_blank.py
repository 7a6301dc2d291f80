from django.db import migrations

from core.refolding import one_blank


class Migration(migrations.Migration):
    dependencies = [("servers", "0005_listed_first")]

    operations = [one_blank("servers.Organization", "servers.Server")]
