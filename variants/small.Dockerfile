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

# Copies, because uv can't link from a cache on another file system.
# Bytecode that ignores times, no debug notes with paths: builds give the same files.
ENV UV_LINK_MODE=copy \
    UV_PYTHON_DOWNLOADS=never \
    UV_PROJECT_ENVIRONMENT=/opt/venv \
    PYC_INVALIDATION_MODE=UNCHECKED_HASH \
    CFLAGS="-O3 -g0"

# The cache outlives the step: an added package does not compile psycopg again.
# --locked fails when uv.lock is stale, and every archive is verified by its hash.
# No process reads the sources of translations and of psycopg-c. RECORD lists what is there.
RUN --mount=type=cache,target=/root/.cache/uv \
    --mount=type=bind,source=pyproject.toml,target=pyproject.toml \
    --mount=type=bind,source=uv.lock,target=uv.lock \
    uv sync --locked --no-dev --no-install-project --compile-bytecode \
    && find /opt/venv \( -name '*.po' -o -path '*/psycopg_c/*.c' -o -name .lock \) -delete \
    && find /opt/venv -name RECORD -exec sed -i '/\.po,/d; /^psycopg_c.*\.c,/d' {} +

FROM ${PYTHON_IMAGE} AS final

# The library that psycopg loads. What apt keeps for itself would ship too.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends libpq5 \
    && rm -rf /var/lib/apt/lists/* /var/cache/debconf/*-old /var/lib/dpkg/*-old \
        /var/cache/ldconfig/aux-cache /var/log/apt /var/log/*.log

# Print at once: what waits in a buffer is lost when the process is killed.
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1
WORKDIR /app
COPY --from=builder /opt/venv /opt/venv

# Python saves bytecode of what it imports: here, what Django and gunicorn import of its
# own library. Before the code, so that an edited line leaves it cached.
RUN DJANGO_SETTINGS_MODULE=django.conf.global_settings python -c "\
import django.contrib.admin, django.core.management.commands.check, \
django.core.servers.basehttp, gunicorn.app.wsgiapp, gunicorn.workers.gthread"

# A user without privileges, and the two folders that it owns.
RUN useradd -U appuser \
    && install -d -m 0755 -o appuser -g appuser /app/staticfiles /app/media

WORKDIR /app
COPY --chown=appuser:appuser . .

USER appuser:appuser

# Static files become part of the image: a deploy has nothing to collect.
RUN python manage.py collectstatic --noinput

# One image, several process types: the argument picks one.
ENTRYPOINT [ "/app/entrypoint.sh" ]
CMD [ "server" ]
