# The load generator: a container of its own, beside the server's.
FROM python:3.13-slim

RUN apt-get update \
    && apt-get install -y --no-install-recommends wrk \
    && rm -rf /var/lib/apt/lists/*

COPY count.lua /count.lua
ENTRYPOINT [ "wrk", "--script", "/count.lua" ]
