#!/bin/sh
# The password is a secret in a file, and PgBouncer reads it from a list of users.
set -eu
umask 077
printf '"reading" "%s"\n' "$(cat /run/secrets/database_password)" > /tmp/users
exec pgbouncer --quiet /etc/pooler/pgbouncer.ini
