"""The embedded cache: an entry that cannot be read is none, and the next one takes its place."""

import pickle
import zlib
from pathlib import Path
from typing import Any

import pytest
from django.core.cache.backends.filebased import FileBasedCache

from config.file_cache import FileCache
from config.file_counters import FileCounters

LATER = pickle.dumps(2**40)
NOW = pickle.dumps(0)
# As Django writes entries, without the time when it did, over and valid; and what is left where power was lost.
UNREADABLE = {
    "of before, over": NOW + zlib.compress(pickle.dumps(1)),
    "of before, valid": LATER + zlib.compress(pickle.dumps(1)),
    "empty": b"",
    "zeros": b"\x00" * 512,
    "no pickle": b"x",
    "another pickle": pickle.dumps("a"),
    "of a module that is gone": b"cgone_module\nName\n.",
    "without its end": NOW + b"\x80",
    "without its value": NOW + LATER,
    "half a value": NOW + LATER + zlib.compress(pickle.dumps("a" * 500))[:-4],
    "value of a module that is gone": NOW + LATER + zlib.compress(b"cgone_module\nName\n."),
}


@pytest.fixture(params=[FileCache, FileCounters])
def cache(request: pytest.FixtureRequest, tmp_path: Path) -> FileCache:
    made: FileCache = request.param(str(tmp_path), {})
    return made


def file_of(cache: Any) -> Path:
    return Path(cache._key_to_file("key"))


def test_it_works(cache: FileCache) -> None:
    cache.set("key", {"a": 1}, timeout=60)
    assert cache.get("key") == {"a": 1}
    assert cache.get("other", "none") == "none"


@pytest.mark.parametrize("written", UNREADABLE.values(), ids=UNREADABLE)
def test_an_unreadable_entry_is_none(cache: FileCache, written: bytes) -> None:
    path = file_of(cache)
    path.write_bytes(written)
    assert cache.get("key", "none") == "none"
    assert not path.exists()
    path.write_bytes(written)
    assert cache.add("key", 1, timeout=60) or cache.get_or_set("key", 1, timeout=60) == 1
    assert cache.incr("key") == 2


@pytest.mark.parametrize("written", UNREADABLE.values(), ids=UNREADABLE)
def test_sweeping_passes_unreadable_entries(tmp_path: Path, written: bytes) -> None:
    counters = FileCounters(str(tmp_path), {})
    file_of(counters).write_bytes(written)
    counters.set("other", 1, timeout=60)
    counters.sweep()
    assert counters.get("other") == 1


def test_what_django_wrote_itself_is_none(tmp_path: Path) -> None:
    FileBasedCache(str(tmp_path), {}).set("key", 1, timeout=-1)
    FileBasedCache(str(tmp_path), {}).set("soon", 1, timeout=5)
    cache = FileCache(str(tmp_path), {})
    assert (cache.get("key"), cache.get("soon")) == (None, None)
