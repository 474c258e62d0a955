# Threadwork for production: bots, workers and the web pages, each a container of this one image.
# Sandboxes are E2B's here (E2B_API_KEY), or any E2B-compatible server's, so bubblewrap is not in it.
FROM python:3.11-slim-bookworm AS build
ENV UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never UV_PROJECT_ENVIRONMENT=/app/.venv
RUN pip install --no-cache-dir --disable-pip-version-check "uv>=0.9,<1"
WORKDIR /app
# The dependencies change seldom, and make a layer of their own.
COPY pyproject.toml uv.lock README.md LICENSE ./
RUN uv sync --locked --no-dev --extra observe --no-install-project
COPY bots bots
COPY core core
COPY migrations migrations
COPY threadwork threadwork
COPY worker worker
RUN uv sync --locked --no-dev --extra observe --no-editable

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --create-home --home-dir /var/lib/threadwork threadwork
COPY --from=build /app/.venv /app/.venv
ENV PATH=/app/.venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    THREADWORK_DATA_DIR=/var/lib/threadwork THREADWORK_LOG_FORMAT=json
USER threadwork
WORKDIR /var/lib/threadwork
VOLUME /var/lib/threadwork
STOPSIGNAL SIGTERM
# No HEALTHCHECK: what is well differs by program, and docker-compose.yml says it for each service.
ENTRYPOINT ["threadwork"]
CMD ["worker"]
