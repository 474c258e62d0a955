"""How a program is watched: its log, and where they are set, Sentry and OpenTelemetry.

Without SENTRY_DSN and an OTLP endpoint nothing of their libraries is imported, and nothing is sent anywhere.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager

from core.errors import Misconfigured
from core.log import set_up
from core.ports import Traces


@contextmanager
def observed(
    name: str, given: Mapping[str, str], *, level: str = "info", style: str = "text", has_legs: bool = True
) -> Iterator[Traces | None]:
    """Be the program `name` until the block ends; yields where it tells the legs of messages' ways, if anywhere.

    `given` holds the variables that are set, as `Settings.observing` or the environment does; `has_legs` False is for
    a program through which no message comes. An error that leaves the block, and so ends the program, is reported like
    those that are logged with their traceback. At the end what waits to be sent has some seconds. Raises
    `Misconfigured` for what is wrong or not installed.
    """
    with ExitStack() as stack:
        reports = None
        if given.get("SENTRY_DSN"):
            with _needed("SENTRY_DSN", "Sentry's SDK"):
                from core.observing.sentry import open_reports
            reports = stack.enter_context(open_reports(given))
        set_up(level, style, name=name, on_error=reports.report if reports else None)
        traces = None
        if has_legs and _is_traced(given):
            with _needed("OTEL_EXPORTER_OTLP_ENDPOINT", "OpenTelemetry's SDK"):
                from core.observing.tracing import open_traces
            traces = stack.enter_context(open_traces(given, name))
        try:
            yield traces
        except Exception as error:
            if reports is not None:
                reports.report(error, {"event": "program_ended", "process": name})
            raise


def _is_traced(given: Mapping[str, str]) -> bool:
    if given.get("OTEL_SDK_DISABLED", "").strip().lower() in {"1", "true"}:
        return False
    return bool(given.get("OTEL_EXPORTER_OTLP_ENDPOINT") or given.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"))


@contextmanager
def _needed(setting: str, library: str) -> Iterator[None]:
    """Say what to install where a setting asks for what is not there."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise Misconfigured(
            f"{setting} is set, but {library} is not installed. Install Threadwork with its extra `observe`; in a "
            "checkout: pip install '.[observe]'"
        ) from error
