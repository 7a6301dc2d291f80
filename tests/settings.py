"""The settings under test: the product's own, with what must differ in a test, each for a reason."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

# A process of pytest-xdist has a number of its own, and so a data folder and a Redis database of its own.
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
PARENT = os.environ.get("SLUICE_DATA_DIR") or tempfile.gettempdir()
Path(PARENT).mkdir(parents=True, exist_ok=True)
os.environ["SLUICE_DATA_DIR"] = tempfile.mkdtemp(prefix=f"sluice-test-{WORKER}-", dir=PARENT)
atexit.register(shutil.rmtree, os.environ["SLUICE_DATA_DIR"], ignore_errors=True)

from config.settings import *  # noqa: E402, F403 - the environment must be ready first
from config.settings import CACHES, DATABASES, IS_PRODUCTION, REDIS_URL, STATIC_ROOT  # noqa: E402

if REDIS_URL:
    REDIS_URL = f"{REDIS_URL.rpartition('/')[0]}/{WORKER}"
    for each in CACHES.values():
        each["LOCATION"] = REDIS_URL
    CELERY_BROKER_URL = REDIS_URL

# The migrated database that each process begins with a copy of, where `tools.run_tests` made one: a name, or SQLite's file.
DATABASES["default"]["TEST"] = {"TEMPLATE": os.environ.get("SLUICE_TEST_TEMPLATE")}
if IS_PRODUCTION:
    # A pool would keep connections open that a test database's end waits for.
    for database in DATABASES.values():
        database.setdefault("OPTIONS", {}).pop("pool", None)
else:
    # A file, as in life: threads that share an in-memory database lock each other out, whatever the time-out.
    DATABASES["default"]["TEST"]["NAME"] = str(Path(os.environ["SLUICE_DATA_DIR"]) / "test.sqlite3")

# A test that checks passwords says so; the others need not pay 100 ms a user.
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

# The test client speaks plain HTTP; config's own tests check that production redirects.
SECURE_SSL_REDIRECT = False

# Tasks run where they are called, and their errors are the test's. Tests with a real worker say so.
CELERY_TASK_ALWAYS_EAGER = True
CELERY_TASK_EAGER_PROPAGATES = True

# Pages are rendered without `collectstatic` having run, and whitenoise warns where the folder is not there.
STATIC_ROOT.mkdir(parents=True, exist_ok=True)
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}

# Nobody answers there, and UDP does not say so: a test that asks DNS starts a server of its own, or waits for nothing.
SLUICE_DNS_SERVERS = ["127.0.0.1:1"]

# Whether the disk of the machine that runs the tests is nearly full changes no page.
SLUICE_DISK_WARNING = 0

# As embedded, on PostgreSQL too: a test of the other way says so.
SLUICE_PUBLISH = "auto"
