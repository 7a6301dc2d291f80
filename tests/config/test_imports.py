"""The arrow of imports holds for foreign keys too, which name their target in a string that import-linter does not see."""

from django.apps import apps

ORDER = [
    "config", "panel", "api", "alerts", "nodes", "stats", "suppressions", "webhooks", "servers", "ippools", "throttling",
    "core",
]  # fmt: skip


def test_every_relation_points_along_the_arrow() -> None:
    against = [
        f"{model._meta.label}.{field.name} → {field.related_model._meta.label}"
        for label in ORDER
        for model in apps.get_app_config(label).get_models(include_auto_created=True)
        for field in model._meta.get_fields()
        if field.is_relation
        and not field.auto_created
        and field.related_model is not None
        and field.related_model._meta.app_label in ORDER
        and ORDER.index(field.related_model._meta.app_label) < ORDER.index(label)
    ]
    assert against == []


def test_every_app_of_ours_is_in_the_order() -> None:
    ours = {config.label for config in apps.get_app_configs() if not config.path.count("site-packages")}
    assert ours == set(ORDER)
