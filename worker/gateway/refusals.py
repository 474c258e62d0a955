"""The gateway's own error answers, in the API's form, with the status that makes the CLI do the right thing.

Tried with CLI 2.1.329: it retries 401, 408, 409, 429 and 5xx up to ten times, for minutes; it gives up at once on
402 ("API Error: 402 <our words>"), on 403 ("Failed to authenticate. API Error: 403 <our words>") and on anything
that carries `x-should-retry: false`. 400 and 422 it repeats five times within a quarter of a second. Next: `proxy.py`.
"""

from aiohttp import web

FINAL = {"x-should-retry": "false"}


def error(status: int, kind: str, message: str, *, final: bool) -> web.Response:
    """An error in the API's form; a final one is not retried."""
    body = {"type": "error", "error": {"type": kind, "message": message}}
    return web.json_response(body, status=status, headers=FINAL if final else {})


def wrong_token() -> web.Response:
    words = "this sandbox's token is not valid at the gateway; start the chat's agent again to give it a new one"
    return error(403, "permission_error", words, final=True)


def not_allowed(reason: str) -> web.Response:
    return error(402, "billing_error", reason, final=True)


def no_such_path(path: str) -> web.Response:
    return error(404, "not_found_error", f"the gateway does not pass on {path[:200]}", final=True)


def bad_request(why: str) -> web.Response:
    return error(400, "invalid_request_error", why, final=True)


def too_large() -> web.Response:
    return error(413, "request_too_large", "the request is larger than the gateway passes on", final=True)


def unreachable(upstream: str) -> web.Response:
    return error(502, "api_error", f"the model API at {upstream} cannot be reached", final=False)


def silent(upstream: str) -> web.Response:
    return error(504, "timeout_error", f"the model API at {upstream} does not answer", final=False)


def not_ready() -> web.Response:
    return error(529, "overloaded_error", "the gateway cannot check this chat's budget just now", final=False)
