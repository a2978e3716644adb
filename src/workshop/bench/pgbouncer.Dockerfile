# A pooler of connections, in front of PostgreSQL: PgBouncer from Debian's package.
FROM python:3.13-slim

RUN apt-get update \
    && apt-get install -y --no-install-recommends pgbouncer \
    && rm -rf /var/lib/apt/lists/*

COPY pgbouncer.ini start.sh /etc/pooler/
USER postgres
ENTRYPOINT [ "sh", "/etc/pooler/start.sh" ]
