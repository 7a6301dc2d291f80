from django.apps import AppConfig


class RootConfig(AppConfig):
    name = "config"
    verbose_name = "Sluice"

    def ready(self) -> None:
        # Registers the system checks.
        from config import checks  # noqa: F401
