#!/bin/sh
# The official image's words: a settings file, a command of the registry's, or any other one.
set -e

case "${1-}" in
    *.yml | *.yaml) set -- registry serve "$@" ;;
    serve | garbage-collect | help | -*) set -- registry "$@" ;;
esac

exec "$@"
