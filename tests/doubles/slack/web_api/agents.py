"""assistant.threads.* and agents.sessions.*: what is shown while the agent thinks."""

from tests.doubles.slack.errors import SlackError
from tests.doubles.slack.store import JSON, Channel
from tests.doubles.slack.web_api.request import Request

_STATUSES = {"active", "processing", "suspended", "closed"}


def _thread(call: Request) -> tuple[Channel, str]:
    if not call.world.options.is_agent:
        raise SlackError("not_authorized", "the app is not declared an agent")
    where = call.channel("channel_id", must_be_in=True)
    ts = str(call.args.get("thread_ts") or "")
    if ts:
        where.message(ts)
    return where, ts


def set_status(call: Request) -> JSON:
    where, ts = _thread(call)
    if len(call.args.get("loading_messages") or []) > 10:
        raise SlackError("invalid_arguments", "no more than 10 loading_messages")
    if call.args["status"]:
        where.statuses[ts] = {"status": call.args["status"], "at": call.world.store.clock.now()}
    else:
        where.statuses.pop(ts, None)
    return {}


def set_title(call: Request) -> JSON:
    where, ts = _thread(call)
    where.sessions.setdefault(ts, {})["title"] = call.args["title"]
    return {}


def set_suggested_prompts(call: Request) -> JSON:
    where, ts = _thread(call)
    prompts = call.args["prompts"]
    if not isinstance(prompts, list) or not 1 <= len(prompts) <= 4:
        raise SlackError("invalid_arguments", "1 to 4 prompts")
    if any(not one.get("title") or not one.get("message") for one in prompts):
        raise SlackError("invalid_arguments", "a prompt has a title and a message")
    where.sessions.setdefault(ts, {})["prompts"] = prompts
    return {}


def session_status(call: Request) -> JSON:
    where, ts = _thread(call)
    if call.args["status"] not in _STATUSES:
        raise SlackError("invalid_arguments", f"status must be one of {sorted(_STATUSES)}")
    session = where.sessions.setdefault(ts, {})
    session["status"] = call.args["status"]
    if call.args.get("title"):
        session["title"] = call.args["title"]
    return {}


METHODS = {
    "agents.sessions.rename": set_title,
    "agents.sessions.setStatus": session_status,
    "assistant.threads.setStatus": set_status,
    "assistant.threads.setSuggestedPrompts": set_suggested_prompts,
    "assistant.threads.setTitle": set_title,
}
