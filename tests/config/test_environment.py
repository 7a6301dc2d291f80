"""What cannot be meant is refused with a sentence; nothing set is nothing set."""

import pytest

from config import environment


@pytest.mark.parametrize("value", ["x", "-1", "1.5", "1 2", "٣", "0"])
def test_it_rejects_what_is_no_number(monkeypatch, value: str) -> None:
    monkeypatch.setenv("PORT", value)
    with pytest.raises(SystemExit, match="PORT must be a whole number of at least 1, not"):
        environment.number("PORT", 8000, least=1)


@pytest.mark.parametrize(("value", "expected"), [("", 8000), ("  ", 8000), (" 81 ", 81)])
def test_it_reads_a_number(monkeypatch, value: str, expected: int) -> None:
    monkeypatch.setenv("PORT", value)
    assert environment.number("PORT", 8000) == expected


@pytest.mark.parametrize("value", ["my_suffix", ".example", "192.0.2.1"])
def test_it_rejects_what_is_no_host_name(monkeypatch, value: str) -> None:
    monkeypatch.setenv("SLUICE_HOSTNAME_SUFFIX", value)
    with pytest.raises(SystemExit, match=r"SLUICE_HOSTNAME_SUFFIX must .*, not "):
        environment.host_name("SLUICE_HOSTNAME_SUFFIX", "postal")


@pytest.mark.parametrize(("value", "expected"), [("", "postal"), (" mx.example ", "mx.example")])
def test_it_reads_a_host_name(monkeypatch, value: str, expected: str) -> None:
    monkeypatch.setenv("SLUICE_HOSTNAME_SUFFIX", value)
    assert environment.host_name("SLUICE_HOSTNAME_SUFFIX", "postal") == expected


@pytest.mark.parametrize(
    ("value", "expected"), [("", True), ("False", False), ("0", False), ("on", True), ("YES", True), ("off", False)]
)
def test_it_reads_a_flag(monkeypatch, value: str, expected: bool) -> None:
    monkeypatch.setenv("DEBUG", value)
    assert environment.flag("DEBUG", default=True) is expected


def test_it_rejects_a_misspelt_flag(monkeypatch) -> None:
    monkeypatch.setenv("DEBUG", "flase")
    with pytest.raises(SystemExit, match=r"DEBUG must be true or false, not 'flase'\."):
        environment.flag("DEBUG", default=False)


def test_it_reads_words(monkeypatch) -> None:
    monkeypatch.setenv("ALLOWED_HOSTS", " a.example, ,b.example ,")
    assert environment.words("ALLOWED_HOSTS") == ["a.example", "b.example"]


def test_it_does_not_echo_a_broken_database_url(monkeypatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://sluice:hush@host:port/name")
    with pytest.raises(SystemExit, match="DATABASE_URL cannot be read") as refusal:
        environment.database("DATABASE_URL")
    assert "hush" not in str(refusal.value)


def test_it_reads_one_of_some_words(monkeypatch) -> None:
    assert environment.choice("SLUICE_PUBLISH", ["auto", "manual"], default="auto") == "auto"
    monkeypatch.setenv("SLUICE_PUBLISH", " manual ")
    assert environment.choice("SLUICE_PUBLISH", ["auto", "manual"], default="auto") == "manual"


def test_it_rejects_another_word(monkeypatch) -> None:
    monkeypatch.setenv("SLUICE_PUBLISH", "Auto")
    with pytest.raises(SystemExit, match="SLUICE_PUBLISH must be auto or manual, not 'Auto'"):
        environment.choice("SLUICE_PUBLISH", ["auto", "manual"], default="auto")
