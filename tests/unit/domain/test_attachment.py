"""Names and sizes of files as people see them."""

import pytest

from core.domain.attachment import NAME_CHARS, shown_name, size_words


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("report.csv", "report.csv"),
        ("plots/a.png", "plots_a.png"),
        ("../../etc/passwd", "_.._etc_passwd"),
        ("two\nlines.txt", "two_lines.txt"),
        ("gpj.\u202eexe", "gpj._exe"),
        ("<!channel>.txt", "_!channel_.txt"),
        ("..", "file"),
        ("Übersicht 🎉.txt", "Übersicht 🎉.txt"),
    ],
)
def test_a_name_cannot_act(path: str, name: str) -> None:
    assert shown_name(path) == name


def test_a_long_name_keeps_its_ending() -> None:
    name = shown_name("x" * 500 + ".csv")
    assert len(name) <= NAME_CHARS
    assert name.endswith(".csv")


@pytest.mark.parametrize(
    ("size", "words"),
    [(1, "1 byte"), (999, "999 bytes"), (1000, "1.0 kB"), (25 << 20, "26 MB"), (10**9, "1.0 GB"), (10**12, "1,000 GB")],
)
def test_a_size_is_said_shortly(size: int, words: str) -> None:
    assert size_words(size) == words
