# Slim: the system's extras are left out, you install what you need.
FROM python:3.13-slim AS builder

# Print at once: what waits in a buffer is lost when the process is killed.
ENV PYTHONUNBUFFERED=1

# Python itself writes no .pyc files.
ENV PYTHONDONTWRITEBYTECODE=1

# The resolver that you tested, not the newest of the day.
ENV UV_VERSION=0.13.9

# Compilers, and PostgreSQL's headers for psycopg.
RUN apt-get update \
    && apt-get install -y --no-install-recommends build-essential libpq-dev \
    && pip install --upgrade pip \
    && pip install "uv==$UV_VERSION"

WORKDIR /app

# The two files that name the packages: other edits leave the next steps cached.
COPY pyproject.toml uv.lock /app/

# A folder that can be copied whole.
# Copies, because uv can't link from a cache on another file system.
ENV UV_PROJECT_ENVIRONMENT=/opt/venv \
    UV_LINK_MODE=copy

# The cache outlives the step: an added package does not compile psycopg again.
# --locked fails when uv.lock is stale, and every archive is verified by its hash.
# No process reads the sources of translations and of psycopg-c. RECORD lists what is there.
RUN --mount=type=cache,target=/root/.cache/uv \
    uv sync --locked --no-dev --no-install-project \
    && find /opt/venv \( -name '*.po' -o -path '*/psycopg_c/*.c' -o -name .lock \) -delete \
    && find /opt/venv -name RECORD -exec sed -i '/\.po,/d; /^psycopg_c.*\.c,/d' {} +

# The same Python as above: the environment is made for it.
FROM python:3.13-slim AS final

# A stage inherits nothing from the one before it.
ENV PYTHONUNBUFFERED=1
ENV PYTHONDONTWRITEBYTECODE=1

# The environment's programs are found first.
ENV PATH=/opt/venv/bin:$PATH
COPY --from=builder /opt/venv /opt/venv

# The library that psycopg loads. What apt keeps for itself would ship too.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends libpq5 \
    && rm -rf /var/lib/apt/lists/* /var/cache/debconf/*-old /var/lib/dpkg/*-old \
        /var/cache/ldconfig/aux-cache /var/log/apt /var/log/*.log

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
