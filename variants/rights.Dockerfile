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
# A setuid program would give its caller the rights of root.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends libpq5 \
    && rm -rf /var/lib/apt/lists/* /var/cache/debconf/*-old /var/lib/dpkg/*-old \
        /var/cache/ldconfig/aux-cache /var/log/apt /var/log/*.log \
    && find / -xdev -type f -perm /6000 -exec chmod a-s {} +

# Numbers, because an orchestrator can't tell whether a name is root.
RUN groupadd --gid 10001 app \
    && useradd --uid 10001 --gid app --no-create-home app

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

# Root prepares the code and owns it, so that the process can't rewrite it.
# Bytecode comes first: what collectstatic imports would be saved with times in it.
# What the build makes besides static files would ship and belong to root, be it a database,
# a log or a key. So the build fails then. Folders for data and /tmp are empty. Group 0 may do what
# their owner may, because some orchestrators choose the user, and this group.
COPY . /app
RUN python -m compileall -q --invalidation-mode checked-hash /app \
    && touch /tmp/before \
    && python manage.py collectstatic --noinput --verbosity 0 \
    && made=$(find /app -type f \( -newer /tmp/before -o -name .env -o -name '*.sqlite3' \) \
        ! -path '/app/staticfiles/*') \
    && if [ -n "$made" ]; then echo "These files must not ship:" "$made" >&2; exit 1; fi \
    && install -d -o app -g 0 -m 0775 /app/data /app/media \
    && find /tmp -mindepth 1 -delete

USER 10001:10001
EXPOSE 8000

# One image, several process types: the argument picks one.
ENTRYPOINT [ "/app/entrypoint.sh" ]
CMD [ "server" ]
