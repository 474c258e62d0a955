"""What the admin page's filters make of texts."""

import pytest

from bots.web.templating import inline


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Runs `ls <b>` & more", "Runs <code>ls &lt;b&gt;</code> &amp; more"),
        ("`` a`b `` and `c`", "<code>a`b</code> and <code>c</code>"),
        ("one ` only, <script>", "one ` only, &lt;script&gt;"),
        ("`<img src=x onerror=alert(1)>`", "<code>&lt;img src=x onerror=alert(1)&gt;</code>"),
        ("", ""),
    ],
)
def test_inline_code_is_marked_and_everything_else_is_text(text: str, shown: str) -> None:
    assert inline(text) == shown
