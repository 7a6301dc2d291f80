from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("nodes", "0005_server_names")]

    operations = [migrations.RenameField("nodepolicy", "ways", "virtual_mtas")]
