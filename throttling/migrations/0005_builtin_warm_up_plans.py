from django.db import migrations

from core.names import fold

# Name: messages on the first day, growth a day in percent, messages from which an address is warm.
PLANS = {
    "Careful": (50, 30, 50_000),
    "Standard": (100, 50, 100_000),
    "Fast": (500, 80, 250_000),
}
# The share of a day's messages that each of the largest providers may get, in percent.
SHARES = {"Gmail": 50, "Microsoft": 50, "Yahoo": 50}
LEAST = 24


def schedule(first, growth, warm):
    """The messages of each day, until the day that would reach `warm`."""
    days = [first]
    while days[-1] < warm:
        days.append(min(warm, max(days[-1] + 1, days[-1] * (100 + growth) // 100)))
    return days


def create(apps, schema_editor):
    """The plans that every platform has."""
    plans = apps.get_model("throttling", "WarmUpPlan").objects
    for name, numbers in PLANS.items():
        days = schedule(*numbers)
        plans.create(
            name=name,
            name_key=fold(name),
            is_builtin=True,
            days=days,
            providers={
                provider: [max(LEAST, number * share // 100) for number in days] for provider, share in SHARES.items()
            },
            least_accepted=85 if name == "Careful" else 80,
        )


def remove(apps, schema_editor):
    apps.get_model("throttling", "WarmUpPlan").objects.filter(is_builtin=True).delete()


class Migration(migrations.Migration):
    dependencies = [("throttling", "0002_builtins")]

    operations = [migrations.RunPython(create, remove)]
