"""What starts without showing a page loads none; the worker does when it has an act of a page to do."""

import os
import subprocess
import sys
from importlib import import_module
from pkgutil import iter_modules

import pytest
from django.apps import apps
from django.core.checks import registry
from django.core.management import BaseCommand

from core.commands import PlainCommand
from panel.apps import check_pages
from tools.panel import ROOT

pytestmark = pytest.mark.live

PAGES = ("panel.pages", "api.postal", "api.greenarrow", "drf_spectacular.plumbing")
SHOW = f"import sys; print(sum(name.startswith({PAGES}) for name in sys.modules))"
START = "import os; os.environ['DJANGO_SETTINGS_MODULE'] = 'config.settings'; import django; django.setup()"
WORK = "from core import jobs; jobs.take_turns = lambda *_, **__: None; from panel.tasks import run_bulk_acts; run_bulk_acts()"
OF_OTHERS = {
    "createsuperuser": "Django's, with our checks of what it is given",
    "migrate": "Django's, of both databases where the statistics have one of their own",
}


def test_neither_pages_nor_apis_are_loaded_before_they_are_needed() -> None:
    command = [sys.executable, "-c", "\n".join((START, SHOW, WORK, SHOW))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    before, after = map(int, done.stdout.split())
    assert (before, after > 50) == (0, True)


def test_a_command_loads_no_client_of_redis() -> None:
    """It is an eighth of the time that a command takes to start, and most ask nothing of it."""
    embedded = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
    show = "import sys, servers.provisioning; print('redis' in sys.modules)"
    command = [sys.executable, "-c", "\n".join((START, show))]
    done = subprocess.run(command, cwd=ROOT, env=embedded, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]


def commands_of_ours() -> dict[str, type[BaseCommand]]:
    return {
        name: import_module(f"{app.name}.management.commands.{name}").Command
        for app in apps.get_app_configs()
        if (ROOT / app.name / "management" / "commands").is_dir()
        for _, name, _ in iter_modules([str(ROOT / app.name / "management" / "commands")])
    }


def test_no_command_of_ours_runs_the_checks() -> None:
    ours = commands_of_ours()
    assert len(ours) > 20
    assert {name for name, command in ours.items() if not issubclass(command, PlainCommand)} == OF_OTHERS.keys()
    assert {tuple(command.requires_system_checks) for name, command in ours.items() if name not in OF_OTHERS} == {()}


def test_the_checks_know_every_page() -> None:
    assert check_pages in registry.registry.get_checks()
    assert check_pages(None) == []
