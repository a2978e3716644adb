#!/usr/bin/env bash
# The first argument picks what this container is: docker run IMAGE <type>

PROCESS_TYPE="$1"

echo "Running process type: $PROCESS_TYPE"

case "$PROCESS_TYPE" in
    server)
        # exec: gunicorn takes the shell's place as process 1 and gets its signals.
        exec gunicorn \
            --bind 0.0.0.0:8000 \
            --log-level INFO \
            --access-logfile "-" \
            --error-logfile "-" \
            --worker-class asgi \
            app.asgi
        ;;
    *)
        echo "Unknown process type: $PROCESS_TYPE"
        ;;
esac
