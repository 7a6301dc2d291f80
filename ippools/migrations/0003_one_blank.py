from django.db import migrations

from core.refolding import one_blank


class Migration(migrations.Migration):
    dependencies = [("ippools", "0002_listed_first")]

    operations = [one_blank("ippools.IPPool", "ippools.VirtualMTA", "ippools.FormerAddressName")]
