#!/bin/sh
# The part of the official image's entrypoint that a Compose file relies on.
set -e

case "${1-}" in
    -* | *.conf) set -- redis-server "$@" ;;
esac

if [ "${1-}" = redis-server ]; then
    # Other containers may connect: the network decides who can, as in the official image.
    shift
    set -- redis-server "$@" --protected-mode no
    if [ "$(id -u)" = 0 ]; then
        find . \! -user redis -exec chown redis '{}' +
        exec setpriv --reuid redis --regid redis --clear-groups -- "$0" "$@"
    fi
fi

exec "$@"
