#!/bin/bash
# Start PostgreSQL as the official image does: POSTGRES_PASSWORD, POSTGRES_USER, POSTGRES_DB (each
# also with _FILE), POSTGRES_INITDB_ARGS, PGDATA and the files of /docker-entrypoint-initdb.d mean
# the same. Not here: POSTGRES_HOST_AUTH_METHOD.
set -euo pipefail

# The variable $1, or the content of the file that $1_FILE names, or $2.
told() {
    local file="$1_FILE"
    if [[ -n "${!file:-}" ]]; then
        cat "${!file}"
    else
        printf '%s' "${!1:-$2}"
    fi
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
    password=$(told POSTGRES_PASSWORD "")
    if [[ -z "$password" ]]; then
        echo "Error: the database is empty and no superuser password is given." >&2
        echo "       Set POSTGRES_PASSWORD, for example: docker run -e POSTGRES_PASSWORD=…" >&2
        exit 1
    fi
    user=$(told POSTGRES_USER postgres)
    database=$(told POSTGRES_DB "$user")

    # The arguments are several words.
    # shellcheck disable=SC2086
    initdb --username="$user" --pwfile=<(printf '%s\n' "$password") \
        --auth-local=trust --auth-host=scram-sha-256 ${POSTGRES_INITDB_ARGS:-}
    echo 'host all all all scram-sha-256' >> "$PGDATA/pg_hba.conf"

    # Nobody outside may meet the server before its database is there.
    pg_ctl --wait -o "-c listen_addresses='' -p 5432" start
    if [[ "$database" != postgres ]]; then
        createdb --username="$user" --maintenance-db=postgres --no-password -- "$database"
    fi
    for file in /docker-entrypoint-initdb.d/*; do
        case "$file" in
            *.sh) bash "$file" ;;
            *.sql) psql -v ON_ERROR_STOP=1 --no-psqlrc --username="$user" "$database" < "$file" ;;
            *.sql.gz)
                gunzip --stdout "$file" |
                    psql -v ON_ERROR_STOP=1 --no-psqlrc --username="$user" "$database"
                ;;
        esac
    done
    pg_ctl --wait --mode=fast stop
    echo
    echo "PostgreSQL init process complete; ready for start up."
    echo
fi

unset POSTGRES_PASSWORD
exec "$@"
