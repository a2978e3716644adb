#!/bin/bash
# Start PostgreSQL as the official image does: POSTGRES_PASSWORD, POSTGRES_USER, POSTGRES_DB (each
# also with _FILE), POSTGRES_INITDB_ARGS, PGDATA and the files of /docker-entrypoint-initdb.d mean
# the same. Not here: POSTGRES_HOST_AUTH_METHOD, and files that end in .sql.xz or .sql.zst.
# Without -u, because files that are sourced may use variables that are not set.
set -eo pipefail

# Set $1 to the content of the file that $1_FILE names, or to $2 where it has no value. It is
# exported, so that scripts of /docker-entrypoint-initdb.d see it.
tell() {
    local file="$1_FILE" value="${!1:-$2}"
    if [[ -n "${!file:-}" ]]; then
        value=$(< "${!file}")
    fi
    export "$1=$value"
    unset "$file"
}

run_sql() {
    psql -v ON_ERROR_STOP=1 --no-psqlrc --username="$POSTGRES_USER" --dbname="$POSTGRES_DB"
}

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
    tell POSTGRES_PASSWORD ""
    if [[ -z "$POSTGRES_PASSWORD" ]]; then
        echo "Error: the database is empty and no superuser password is given." >&2
        echo "       Set POSTGRES_PASSWORD, for example: docker run -e POSTGRES_PASSWORD=…" >&2
        exit 1
    fi
    tell POSTGRES_USER postgres
    tell POSTGRES_DB "$POSTGRES_USER"

    # The arguments are several words.
    # shellcheck disable=SC2086
    initdb --username="$POSTGRES_USER" --pwfile=<(printf '%s\n' "$POSTGRES_PASSWORD") \
        --auth-local=trust --auth-host=scram-sha-256 ${POSTGRES_INITDB_ARGS:-}
    echo 'host all all all scram-sha-256' >> "$PGDATA/pg_hba.conf"

    # Nobody outside may meet the server before its database is there.
    pg_ctl --wait -o "-c listen_addresses='' -p 5432" start
    if [[ "$POSTGRES_DB" != postgres ]]; then
        createdb --username="$POSTGRES_USER" --maintenance-db=postgres --no-password \
            -- "$POSTGRES_DB"
    fi
    for file in /docker-entrypoint-initdb.d/*; do
        case "$file" in
            *.sh)
                if [[ -x "$file" ]]; then
                    "$file"
                else
                    # shellcheck source=/dev/null
                    . "$file"
                fi
                ;;
            *.sql) run_sql < "$file" ;;
            *.sql.gz) gunzip --stdout "$file" | run_sql ;;
        esac
    done
    pg_ctl --wait --mode=fast stop
    echo
    echo "PostgreSQL init process complete; ready for start up."
    echo
fi

unset POSTGRES_PASSWORD
exec "$@"
