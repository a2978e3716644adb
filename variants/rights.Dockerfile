# Pin the base where it matters: --build-arg PYTHON_IMAGE=python:3.13-slim@sha256:…
ARG PYTHON_IMAGE=python:3.13-slim

# Whatever compiles or downloads stays in this stage.
FROM ${PYTHON_IMAGE} AS builder

# psycopg is published as source. It takes a compiler and libpq's headers, no more.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends gcc libc6-dev libpq-dev

# The resolver that you tested, not the newest of the day.
RUN pip install --no-cache-dir uv==0.13.9

WORKDIR /app

# Copies, because links into a cache would lead nowhere in the final image.
# Bytecode that ignores times, no debug notes with paths: builds give the same files.
ENV UV_LINK_MODE=copy \
    UV_PYTHON_DOWNLOADS=never \
    UV_PROJECT_ENVIRONMENT=/opt/venv \
    PYC_INVALIDATION_MODE=UNCHECKED_HASH \
    CFLAGS="-O3 -g0"

# The cache outlives the step: an added package does not compile psycopg again.
# --locked fails when uv.lock is stale, and every archive is verified by its hash.
# No process reads sources of translations and modules, or what debuggers read.
RUN --mount=type=cache,target=/root/.cache/uv \
    --mount=type=bind,source=pyproject.toml,target=pyproject.toml \
    --mount=type=bind,source=uv.lock,target=uv.lock \
    uv sync --locked --no-dev --no-install-project --compile-bytecode \
    && find /opt/venv \( -name '*.po' -o -path '*/psycopg_c/*.[ch]' -o -name .lock \) \
        -delete \
    && find /opt/venv -name '*.so*' -exec strip --strip-debug {} +

FROM ${PYTHON_IMAGE} AS final

# The library that psycopg loads. What apt keeps for itself would ship too.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends libpq5 \
    && rm -rf /var/lib/apt/lists/* /var/cache/debconf/*-old /var/lib/dpkg/*-old \
        /var/cache/ldconfig/aux-cache /var/log/apt /var/log/*.log

# Python saves bytecode of what it imports: here, what Django and gunicorn import of its
# own library. Below the packages, so that an added one leaves it cached.
RUN python -c "\
import argparse, asyncio, calendar, concurrent.futures.thread, ctypes.util, decimal, \
difflib, email.generator, email.mime.message, email.mime.multipart, email.mime.text, \
graphlib, gzip, html.parser, http.cookies, importlib.metadata._adapters, logging.config, \
pkgutil, pprint, secrets, shlex, uuid, wsgiref.simple_server, zoneinfo"

# Numbers, because an orchestrator can't tell whether a name is root.
RUN groupadd --gid 10001 app && useradd --uid 10001 --gid app --no-create-home app

# Print at once: what waits in a buffer is lost when the process is killed.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1
WORKDIR /app
COPY --from=builder /opt/venv /opt/venv

# Root prepares the code and owns it, so that the process can't rewrite it.
# Bytecode comes first: what collectstatic imports would be saved with times in it.
COPY . .
RUN python -m compileall -q --invalidation-mode checked-hash . \
    && python manage.py collectstatic --noinput --verbosity 0 \
    && install -d -o app -g app data media

USER 10001:10001
EXPOSE 8000

# One image, several process types: the argument picks one.
ENTRYPOINT [ "/app/entrypoint.sh" ]
CMD [ "server" ]
