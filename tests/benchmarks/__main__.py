"""`python -m tests.benchmarks [NAME …]`: run the benchmarks, print their ratios, and fail where one misses its goal."""

import importlib
import os
import pkgutil
import sys

import django

from tests import benchmarks


def main(names: list[str]) -> int:
    """Run the modules named, or all."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
    os.environ.setdefault("SLUICE_LOG_LEVEL", "WARNING")
    django.setup()
    # Not before Django is set up.
    from django.conf import settings
    from django.core.management import call_command

    from config import checks

    settings.STATIC_ROOT.mkdir(parents=True, exist_ok=True)
    call_command("migrate", verbosity=0)
    missed = 0
    for found in pkgutil.iter_modules(benchmarks.__path__):
        if names and found.name not in names:
            continue
        module = importlib.import_module(f"tests.benchmarks.{found.name}")
        if hasattr(module, "measure"):
            print(f"\n== {found.name}: {(module.__doc__ or '').partition(chr(10))[0]}", flush=True)
            for ratio in module.measure():
                print(ratio, flush=True)
                missed += not ratio.holds
    checks.leave_pools()
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
