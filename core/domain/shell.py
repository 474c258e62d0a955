"""Reads a shell command line far enough to say which simple commands it would run.

Every command is found, wherever it hides: in lists and pipelines, subshells, loops, `$(…)`, backticks, process
substitutions and here-documents. What this reader does not know for certain (functions, `case`, arithmetic with
commands in it, an unclosed quote) raises `Unreadable`, so that a doubt becomes a question and never a permission.
Being too lenient about what bash would refuse is harmless: bash refuses it. Next: `wrappers.py`, which looks
inside `bash -c`, `env`, `xargs` and the like.
"""

import re
from dataclasses import dataclass
from typing import Final

from core.domain.commands import Redirect, Simple, Unreadable, Word, moved

MAX_DEPTH: Final = 25
_REDIRECT: Final = re.compile(r"(?:\d+|\{\w+\})?(<<<|<<-|<<|<>|<&|<|>>|>\||>&|>|&>>|&>)")
_ASSIGNMENT: Final = re.compile(r"[A-Za-z_]\w*(\[[^\]$`]*\])?\+?=")
_PARAMETER: Final = re.compile(r"[A-Za-z_]\w*|[0-9@*#?$!-]")
_ARITHMETIC: Final = re.compile(r"[\w\s+\-*/%<>=!&|^~?:,()$#]*\Z")
_GOES_ON: Final = frozenset(("if", "then", "elif", "else", "fi", "do", "done", "while", "until", "!", "{", "}", "time"))
_NOT_READ: Final = frozenset(("case", "esac", "select", "function", "coproc"))
_BREAKS: Final = frozenset(" \t\n;&|<>()")


def simple_commands(line: str) -> tuple[Simple, ...]:
    """Every simple command of a shell line, in the order they are written (inner ones before the outer).

    Raises `Unreadable`.
    """
    return _Reader(line, 0).read()


@dataclass(slots=True)
class _Heredoc:
    delimiter: str
    is_quoted: bool
    strips_tabs: bool
    body: str | None = None


@dataclass(slots=True)
class _Draft:
    words: list[Word]
    assignments: list[Word]
    redirects: list[tuple[str, Word, _Heredoc | None]]

    def done(self) -> Simple:
        redirects = tuple(
            Redirect(op, target, doc.body, doc.is_quoted or not re.search(r"[$`\\]", doc.body or ""))
            if doc
            else Redirect(op, target, target.text if op == "<<<" else None, target.is_literal)
            for op, target, doc in self.redirects
        )
        return Simple(tuple(self.words), tuple(self.assignments), redirects)


@dataclass(slots=True)
class _Marks:
    """What is learned about a word while it is read."""

    is_literal: bool = True
    has_glob: bool = False
    has_brace: bool = False
    variables: tuple[str, ...] = ()


class _Reader:
    """A recursive descent over one line; `at` is where it stands."""

    def __init__(self, line: str, depth: int) -> None:
        if "\0" in line or depth > MAX_DEPTH:
            raise Unreadable("nested too deep" if depth > MAX_DEPTH else "a NUL in it")
        self.line = line
        self.depth = depth
        self.at = 0
        self.drafts: list[_Draft | Simple] = []
        self.heredocs: list[_Heredoc] = []

    def read(self) -> tuple[Simple, ...]:
        self._list(closer=False)
        if self.heredocs:
            raise Unreadable("a here-document without its text")
        return tuple(draft.done() if isinstance(draft, _Draft) else draft for draft in self.drafts)

    def _peek(self, ahead: int = 0) -> str:
        place = self.at + ahead
        return self.line[place] if place < len(self.line) else ""

    def _list(self, *, closer: bool) -> None:
        """Commands up to the end, or up to the `)` that closes a group."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise Unreadable("nested too deep")
        while True:
            char = self._peek()
            if char in {"", ")"}:
                break
            if char == "\n":
                self.at += 1
                self._bodies()
            elif char in " \t;|" or (char == "&" and self._peek(1) != ">"):
                self.at += 1
            elif not self._continuation():
                self._command()
        if closer != (self._peek() == ")"):
            raise Unreadable("brackets that do not match")
        if closer:
            if self.heredocs:
                raise Unreadable("a here-document across brackets")
            self.at += 1
        self.depth -= 1

    def _continuation(self) -> bool:
        if self.line.startswith("\\\n", self.at):
            self.at += 2
            return True
        return False

    def _command(self) -> None:
        draft = _Draft([], [], [])
        begin = self.at
        while True:
            char = self._peek()
            if char and char in " \t":
                self.at += 1
            elif self._continuation():
                continue
            elif char == "" or char in "\n;|)" or (char == "&" and self._peek(1) != ">"):
                break
            elif char == "#":
                self.at = (self.line + "\n").index("\n", self.at)
            elif char == "(":
                self._group(draft)
            elif self._redirect(draft):
                continue
            else:
                self._next_word(draft)
        if draft.words or draft.assignments or draft.redirects:
            self.drafts.append(draft)
        elif self.at == begin:
            raise Unreadable("something unexpected")

    def _group(self, draft: _Draft) -> None:
        if draft.words or draft.assignments or self._peek(1) == "(":
            raise Unreadable("a function, an array or arithmetic")
        self.at += 1
        self._list(closer=True)

    def _next_word(self, draft: _Draft) -> None:
        word = self._word()
        raw = self.line[word.start : word.end]
        if draft.words:
            draft.words.append(word)
        elif raw in _NOT_READ:
            raise Unreadable(f"`{raw}`")
        elif raw == "for":
            self._for()
        elif raw == "[[":
            self._condition(draft, word)
        elif raw == "-p" and re.search(r"\btime\s+\Z", self.line[: word.start]):
            return
        elif raw not in _GOES_ON:
            (draft.assignments if _ASSIGNMENT.match(raw) else draft.words).append(word)

    def _for(self) -> None:
        """`for name in words`: the words may run commands, but are none."""
        while (char := self._peek()) and char not in "\n;":
            if char in " \t":
                self.at += 1
            elif not self._continuation():
                if char in "&|<>()#":
                    raise Unreadable("a `for` of another kind")
                self._word()

    def _condition(self, draft: _Draft, opening: Word) -> None:
        words = [opening]
        while True:
            char = self._peek()
            if char == "":
                raise Unreadable("`[[` without `]]`")
            if char in " \t" or (char == "\n" and not self.heredocs):
                self.at += 1
            elif self._continuation():
                continue
            elif char in "&|<>()" and not (char in "<>" and self._peek(1) == "("):
                self.at += 1
            elif char in "\n;":
                raise Unreadable("`[[` without `]]`")
            else:
                words.append(self._word())
                if words[-1].text == "]]":
                    break
        draft.words.extend(words)

    def _redirect(self, draft: _Draft) -> bool:
        found = _REDIRECT.match(self.line, self.at)
        if found is None or (found[0] in ("<", ">") and self.line.startswith("(", found.end())):
            return False
        op = found[1]
        self.at = found.end()
        while self._peek() in (" ", "\t") or self._continuation():
            if self._peek() in (" ", "\t"):
                self.at += 1
        if self._peek() == "" or (self._peek() in _BREAKS and self._peek(1) != "("):
            raise Unreadable("a redirection to nowhere")
        target = self._word()
        doc = None
        if op in ("<<", "<<-"):
            raw = self.line[target.start : target.end]
            if not target.is_literal:
                raise Unreadable("a here-document with a moving end")
            doc = _Heredoc(target.text, raw != target.text, op == "<<-")
            self.heredocs.append(doc)
        draft.redirects.append((op, target, doc))
        return True

    def _bodies(self) -> None:
        """The here-documents that begin after the newline just read."""
        for doc in self.heredocs:
            begin = self.at
            while True:
                if self.at >= len(self.line):
                    raise Unreadable("a here-document without its end")
                stop = (self.line + "\n").index("\n", self.at)
                text = self.line[self.at : stop]
                if (text.lstrip("\t") if doc.strips_tabs else text) == doc.delimiter:
                    break
                self.at = stop + 1
            doc.body, after = self.line[begin : self.at], min(stop + 1, len(self.line))
            if not doc.is_quoted:
                inner = _Reader(doc.body, self.depth)
                inner._expansions()
                self.drafts.extend(moved(command, begin, self.at) for command in inner.read())
            self.at = after
        self.heredocs.clear()

    def _expansions(self) -> None:
        """Reads a here-document's text: only expansions count in it."""
        marks = _Marks()
        while char := self._peek():
            if char == "\\":
                self.at += 2
            elif char == "$":
                self._dollar(marks, in_quotes=True)
            elif char == "`":
                self._backticks(marks)
            else:
                self.at += 1
        self.at = len(self.line)

    def _word(self) -> Word:
        start, marks, parts = self.at, _Marks(), list[str]()
        while char := self._peek():
            if char in "<>" and self._peek(1) == "(":
                self.at += 2
                self._list(closer=True)
                marks.is_literal = False
                parts.append(f"{char}(…)")
            elif char in _BREAKS:
                break
            else:
                parts.append(self._piece(char, marks))
        if self.at == start:
            raise Unreadable("something unexpected")
        return Word("".join(parts), start, self.at, marks.is_literal, marks.has_glob, marks.variables)

    def _piece(self, char: str, marks: _Marks) -> str:
        if char == "\\":
            self.at += 2
            escaped = self.line[self.at - 1 : self.at]
            if not escaped:
                raise Unreadable("a backslash at the end")
            return "" if escaped == "\n" else escaped
        if char == "'":
            stop = self.line.find("'", self.at + 1)
            if stop < 0:
                raise Unreadable("an unclosed quote")
            text = self.line[self.at + 1 : stop]
            self.at = stop + 1
            return text
        if char == '"':
            self.at += 1
            return self._double(marks)
        if char == "$":
            return self._dollar(marks, in_quotes=False)
        if char == "`":
            return self._backticks(marks)
        if char in "*?[":
            marks.has_glob = True
        elif char == "{":
            marks.has_brace = True
        elif char in ",." and marks.has_brace:
            marks.is_literal = False
        self.at += 1
        return char

    def _double(self, marks: _Marks) -> str:
        parts = list[str]()
        while (char := self._peek()) != '"':
            if char == "":
                raise Unreadable("an unclosed quote")
            if char == "\\":
                following = self._peek(1)
                parts.append({"\n": ""}.get(following, following if following in '$`"\\' else "\\" + following))
                self.at += 2
            elif char == "$":
                parts.append(self._dollar(marks, in_quotes=True))
            elif char == "`":
                parts.append(self._backticks(marks))
            else:
                parts.append(char)
                self.at += 1
        self.at += 1
        return "".join(parts)

    def _dollar(self, marks: _Marks, *, in_quotes: bool) -> str:
        """An expansion, with `at` on its `$`; the text it leaves in the word is the expansion as written."""
        start = self.at
        self.at += 1
        char = self._peek()
        if char == "(":
            marks.is_literal = False
            if self._peek(1) == "(":
                self._arithmetic()
            else:
                self.at += 1
                self._list(closer=True)
        elif char == "{":
            marks.is_literal = False
            self.at += 1
            self._braces(marks, in_quotes=in_quotes)
        elif char == "'" and not in_quotes:
            marks.is_literal = False
            found = re.compile(r"'(?:[^'\\]|\\.)*'", re.DOTALL).match(self.line, self.at)
            if found is None:
                raise Unreadable("an unclosed quote")
            self.at = found.end()
        elif char == '"' and not in_quotes:
            self.at += 1
            return self._double(marks)
        elif found := _PARAMETER.match(self.line, self.at):
            marks.is_literal = False
            marks.variables += (found[0],)
            self.at = found.end()
        elif char == "[":
            raise Unreadable("old arithmetic")
        return self.line[start : self.at]

    def _arithmetic(self) -> None:
        begin = self.at + 2
        depth, place = 1, begin
        while depth:
            if place >= len(self.line):
                raise Unreadable("an unclosed bracket")
            depth += {"(": 1, ")": -1}.get(self.line[place], 0)
            place += 1
        if self.line[place : place + 1] != ")" or not _ARITHMETIC.match(self.line[begin : place - 1]):
            raise Unreadable("arithmetic with more in it")
        if "$(" in self.line[begin:place]:
            raise Unreadable("arithmetic with more in it")
        self.at = place + 1

    def _braces(self, marks: _Marks, *, in_quotes: bool) -> None:
        start = self.at
        if found := _PARAMETER.match(self.line, self.at + (self._peek() in ("!", "#"))):
            marks.variables += (found[0],)
        while (char := self._peek()) != "}":
            if char == "" or (char == "'" and in_quotes):
                raise Unreadable("an unclosed brace")
            if char in "<>" and self._peek(1) == "(":
                raise Unreadable("a command within a parameter")
            self._piece(char, marks)
        if re.search(r"@[A-Za-z]\s*\Z", self.line[start : self.at]):
            raise Unreadable("a parameter that is run")
        self.at += 1

    def _backticks(self, marks: _Marks) -> str:
        marks.is_literal = False
        found = re.compile(r"`((?:[^`\\]|\\.)*)`", re.DOTALL).match(self.line, self.at)
        if found is None:
            raise Unreadable("an unclosed backtick")
        inner = re.sub(r"\\([`\\$\"])", r"\1", found[1])
        for command in _Reader(inner, self.depth + 1).read():
            self.drafts.append(moved(command, self.at, found.end()))
        self.at = found.end()
        return "`…`"
