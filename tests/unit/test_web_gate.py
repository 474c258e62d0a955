import base64
from uuid import uuid4

import pytest

from bots.web.cookies import name_of, seal, unseal
from bots.web.gate import HEADERS
from bots.web.origins import is_our_name, is_ours
from bots.web.tries import MOST_OF_ALL, WINDOW_S, Tries

SECRET = bytes(range(32))
OURS = "http://127.0.0.1:8030"


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "same-origin", "Origin": OURS},
        {"Sec-Fetch-Site": "same-origin"},
        {"Origin": OURS},
    ],
)
def test_a_form_of_ours_may_change_something(headers: dict[str, str]) -> None:
    assert is_ours("POST", headers, OURS)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "same-site", "Origin": OURS},
        {"Sec-Fetch-Site": "none"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "https://evil.example"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "null"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Origin": "https://127.0.0.1:8030"},
        {"Sec-Fetch-Site": ""},
    ],
)
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "BREW"])
def test_whatever_else_wants_to_change_something_may_not(method: str, headers: dict[str, str]) -> None:
    assert not is_ours(method, headers, OURS)


def test_a_link_from_elsewhere_may_be_followed() -> None:
    assert is_ours("GET", {}, OURS)
    followed = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert is_ours("GET", followed, OURS)


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"},
    ],
)
def test_another_sites_page_gets_nothing_into_itself(headers: dict[str, str]) -> None:
    assert not is_ours("GET", headers, OURS)


@pytest.mark.parametrize("host", ["127.0.0.1:8030", "localhost:8030", "[::1]:8030", "127.0.0.1", "10.0.0.5:8030"])
def test_without_a_public_address_we_are_this_machine_and_what_we_listen_on(host: str) -> None:
    assert is_our_name(host, None, "10.0.0.5")


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "", "10.0.0.6", "[", "localhost.evil.example"]
)
def test_a_strangers_name_for_this_machine_is_not_ours(host: str) -> None:
    assert not is_our_name(host, None, "10.0.0.5")


def test_with_a_public_address_no_other_name_is_ours() -> None:
    public = "https://Threadwork.example.com"
    assert is_our_name("threadwork.example.com", public, "127.0.0.1")
    assert not is_our_name("127.0.0.1:8030", public, "127.0.0.1")
    assert not is_our_name("threadwork.example.com:444", public, "127.0.0.1")


def test_a_cookie_says_nothing_and_opens_with_the_secret_only() -> None:
    session_id = uuid4()
    value = seal(SECRET, session_id, "key")
    assert session_id.hex.encode() not in base64.urlsafe_b64decode(value + "==")
    assert unseal(SECRET, value) == (session_id, "key")
    assert unseal(bytes(32), value) is None
    assert seal(SECRET, session_id, "key") != value


@pytest.mark.parametrize("value", ["", "a", "é", "AAAA", "!" * 40, "A" * 5000, '["x","y"]', "A" * 100])
def test_what_we_did_not_seal_is_no_session(value: str) -> None:
    assert unseal(SECRET, value) is None


def test_every_changed_character_of_a_cookie_makes_it_worthless() -> None:
    value = seal(SECRET, uuid4(), "key")
    for at in range(len(value) - 1):
        changed = value[:at] + ("A" if value[at] != "A" else "B") + value[at + 1 :]
        assert unseal(SECRET, changed) is None


def test_on_https_the_cookie_is_of_this_host_only() -> None:
    assert name_of(is_secure=True).startswith("__Host-")


def test_nothing_inline_and_nothing_from_elsewhere_may_run() -> None:
    policy = dict(part.strip().split(" ", 1) for part in HEADERS["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == "'self'"
    assert "unsafe" not in HEADERS["Content-Security-Policy"]
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"


def test_too_many_tries_from_one_address_have_to_wait() -> None:
    now = 0.0
    tries = Tries(lambda: now, most=3)
    assert [tries.may("a") for _ in range(5)] == [True, True, True, False, False]
    assert tries.may("b")
    now = WINDOW_S + 1
    assert tries.may("a")


def test_many_addresses_together_have_to_wait_as_well() -> None:
    tries = Tries(lambda: 0.0)
    assert sum(tries.may(f"10.0.{number}.1") for number in range(2000)) == MOST_OF_ALL
