#!/bin/bash
# Start PostgreSQL as the official image does: POSTGRES_PASSWORD (or POSTGRES_PASSWORD_FILE),
# POSTGRES_USER, POSTGRES_DB and PGDATA mean the same. Not here: POSTGRES_INITDB_ARGS,
# POSTGRES_HOST_AUTH_METHOD and the scripts of /docker-entrypoint-initdb.d.
set -euo pipefail

[[ "${1:-}" == -* ]] && set -- postgres "$@"
if [[ "${1:-}" != postgres ]]; then
    exec "$@"
fi

if [[ $(id -u) == 0 ]]; then
    mkdir -p "$PGDATA"
    chown -R postgres "$PGDATA"
    chmod 0700 "$PGDATA"
    exec setpriv --reuid=postgres --regid=postgres --init-groups -- "$0" "$@"
fi

if [[ ! -s "$PGDATA/PG_VERSION" ]]; then
    password=${POSTGRES_PASSWORD:-}
    if [[ -n "${POSTGRES_PASSWORD_FILE:-}" ]]; then
        password=$(< "$POSTGRES_PASSWORD_FILE")
    fi
    if [[ -z "$password" ]]; then
        echo "Error: the database is empty and no superuser password is given." >&2
        echo "       Set POSTGRES_PASSWORD, for example: docker run -e POSTGRES_PASSWORD=…" >&2
        exit 1
    fi
    user=${POSTGRES_USER:-postgres}
    database=${POSTGRES_DB:-$user}

    initdb --username="$user" --pwfile=<(printf '%s\n' "$password") \
        --auth-local=trust --auth-host=scram-sha-256
    echo 'host all all all scram-sha-256' >> "$PGDATA/pg_hba.conf"

    # Nobody outside may meet the server before its database is there.
    pg_ctl --wait -o "-c listen_addresses='' -p 5432" start
    if [[ "$database" != postgres ]]; then
        createdb --username="$user" --maintenance-db=postgres --no-password -- "$database"
    fi
    pg_ctl --wait --mode=fast stop
    echo
    echo "PostgreSQL init process complete; ready for start up."
    echo
fi

unset POSTGRES_PASSWORD
exec "$@"
