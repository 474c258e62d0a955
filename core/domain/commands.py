"""A shell command taken apart: words, redirections, simple commands. `shell.py` reads them."""

from dataclasses import dataclass, replace


class Unreadable(ValueError):
    """The command cannot be taken apart with certainty."""


@dataclass(frozen=True, slots=True)
class Word:
    """One word, unquoted. `start` and `end` are where it stands in the line.

    `is_literal`: what it says is what the shell passes on (globs apart); `variables` are the names it expands.
    """

    text: str
    start: int
    end: int
    is_literal: bool = True
    has_glob: bool = False
    variables: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Redirect:
    """A redirection; `body` is a here-document's text or a here-string, `is_fixed` when nothing in it expands."""

    op: str
    target: Word
    body: str | None = None
    is_fixed: bool = True


@dataclass(frozen=True, slots=True)
class Simple:
    """A simple command: assignments before it, its words, its redirections. Any of them may be empty."""

    words: tuple[Word, ...]
    assignments: tuple[Word, ...] = ()
    redirects: tuple[Redirect, ...] = ()

    @property
    def name(self) -> str:
        """The command's name without its folder; empty when there is none or it is not literal."""
        if not self.words or not self.words[0].is_literal:
            return ""
        first = self.words[0]
        if first.has_glob and first.text not in ("[", "[["):
            return ""
        return first.text.rsplit("/", 1)[-1]

    @property
    def texts(self) -> tuple[str, ...]:
        """Its words as plain text."""
        return tuple(word.text for word in self.words)


def moved(command: Simple, start: int, end: int) -> Simple:
    """The same command with every word placed at `start:end`, for what was read out of a quoted string."""

    def at(word: Word) -> Word:
        return replace(word, start=start, end=end)

    return Simple(
        tuple(at(word) for word in command.words),
        tuple(at(word) for word in command.assignments),
        tuple(replace(item, target=at(item.target)) for item in command.redirects),
    )
