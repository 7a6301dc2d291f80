"""The changelog, the package and the API's document have one version."""

import re
from pathlib import Path

from django.conf import settings

import sluice

ROOT = Path(__file__).resolve().parents[2]


def test_the_changelog_begins_with_this_version() -> None:
    [newest, *_] = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest == sluice.__version__


def test_the_document_of_the_api_has_this_version() -> None:
    assert settings.SPECTACULAR_SETTINGS["VERSION"] == sluice.__version__
