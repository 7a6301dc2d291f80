from django.db import migrations

PROVIDERS = {
    "Gmail": ["gmail.com", "googlemail.com"],
    "Microsoft": ["outlook.com", "outlook.*", "hotmail.*", "live.*", "msn.com", "passport.com"],
    "Yahoo": ["yahoo.*", "ymail.com", "rocketmail.com", "aol.com", "aol.*", "aim.com"],
    "Apple": ["icloud.com", "me.com", "mac.com"],
    "Proton": ["proton.me", "protonmail.com", "protonmail.ch", "pm.me"],
    "GMX and WEB.DE": ["gmx.*", "web.de", "mail.com"],
    "T-Online": ["t-online.de"],
    "Orange": ["orange.fr", "wanadoo.fr"],
    "Free": ["free.fr"],
    "Libero": ["libero.it", "iol.it"],
    "Comcast": ["comcast.net", "xfinity.com"],
    "Mail.ru": ["mail.ru", "bk.ru", "inbox.ru", "list.ru"],
    "Yandex": ["yandex.*", "ya.ru"],
    "Tencent QQ": ["qq.com", "foxmail.com"],
    "NetEase": ["163.com", "126.com", "yeah.net"],
    "Zoho": ["zoho.com", "zohomail.com", "zoho.*"],
}


def create(apps, schema_editor):
    """The large mailbox providers; operators add to them."""
    Provider = apps.get_model("stats", "Provider")
    ProviderDomain = apps.get_model("stats", "ProviderDomain")
    for name, patterns in PROVIDERS.items():
        provider = Provider.objects.create(name=name)
        ProviderDomain.objects.bulk_create([ProviderDomain(provider=provider, pattern=each) for each in patterns])


def remove(apps, schema_editor):
    apps.get_model("stats", "Provider").objects.all().delete()


class Migration(migrations.Migration):
    dependencies = [("stats", "0001_squashed")]

    operations = [migrations.RunPython(create, remove)]
