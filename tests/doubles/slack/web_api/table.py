"""Every method of the double's Web API by its name."""

from collections.abc import Callable

from tests.doubles.slack.store import JSON
from tests.doubles.slack.web_api import access, agents, chat, conversations, files, openid, reactions, streams, views
from tests.doubles.slack.web_api.request import Request

METHODS: dict[str, Callable[[Request], JSON]] = {
    **access.METHODS,
    **agents.METHODS,
    **chat.METHODS,
    **conversations.METHODS,
    **files.METHODS,
    **openid.METHODS,
    **reactions.METHODS,
    **streams.METHODS,
    **views.METHODS,
}
