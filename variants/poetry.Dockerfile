# Slim: the system's extras are left out, you install what you need.
FROM python:3.13-slim AS builder

# Print at once: what waits in a buffer is lost when the process is killed.
ENV PYTHONUNBUFFERED=1

# Python itself writes no .pyc files.
ENV PYTHONDONTWRITEBYTECODE=1

# The resolver that you tested, not the newest of the day. Its exports are a plugin.
ENV POETRY_VERSION=2.5.1 \
    POETRY_PLUGIN_EXPORT_VERSION=1.10.1

# Compilers, and PostgreSQL's headers for psycopg.
RUN apt-get update \
    && apt-get install -y --no-install-recommends build-essential libpq-dev \
    && pip install --upgrade pip \
    && pip install "poetry==$POETRY_VERSION" \
        "poetry-plugin-export==$POETRY_PLUGIN_EXPORT_VERSION"

WORKDIR /app

# The two files that name the packages: other edits leave the next steps cached.
COPY pyproject.toml poetry.lock /app/

# pip reads requirements files, not poetry.lock.
RUN poetry export --with dev --without-hashes -o /app/requirements.txt

# Compile here, so that the final stage only has to unpack.
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /app/wheels -r /app/requirements.txt

# The same Python as above: the wheels are built for it.
FROM python:3.13-slim AS final

# A stage inherits nothing from the one before it.
ENV PYTHONUNBUFFERED=1
ENV PYTHONDONTWRITEBYTECODE=1

COPY --from=builder /app/wheels /wheels
COPY --from=builder /app/requirements.txt /tmp/requirements.txt

# No package index is asked: everything comes out of the wheels.
RUN pip install --no-cache-dir --no-index --find-links=/wheels -r /tmp/requirements.txt \
    && rm -rf /wheels /tmp/requirements.txt

# The PostgreSQL client library that psycopg loads.
RUN apt-get update \
    && apt-get install -y --no-install-recommends libpq-dev \
    && rm -rf /var/lib/apt/lists/*

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
