"""What a model wrote steers no terminal, and loses nothing as JSON."""

import json

from hypothesis import given
from hypothesis import strategies as st

from bots.console.safe import escaped, plain
from tests.steady import steady

STEERING = [*(chr(code) for code in range(0x20) if chr(code) not in "\t\n"), "\x7f", "\x9b", "\u202e", "\u2066"]
texts = st.text(st.characters(codec="utf-8") | st.sampled_from(STEERING))


@steady
@given(texts)
def test_plain_text_has_nothing_that_steers(text: str) -> None:
    assert not set(STEERING) & set(plain(text))


def test_plain_text_keeps_what_is_text() -> None:
    assert plain("a\x1b[31mb\u202ec\td\né ж 漢 🙂\x9b0m") == "a[31mbc\td\né ж 漢 🙂0m"


@steady
@given(texts)
def test_a_line_of_json_says_the_same_and_steers_nothing(text: str) -> None:
    line = escaped(json.dumps({"text": text}, ensure_ascii=False))
    assert json.loads(line) == {"text": text}
    assert not set(STEERING) & set(line)
