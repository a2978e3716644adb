# A stand-in for redis:8, for a machine that reaches no registry: Debian's own Redis 8, at the
# paths, under the ids and with the settings of the official image.

FROM dockerfile-workshop/debian:trixie-slim

# The user comes first, so that the package does not choose other ids.
RUN groupadd --system --gid 999 redis \
 && useradd --system --gid redis --uid 999 --home-dir /data --no-create-home redis \
 && apt-get update \
 && apt-get install -y --no-install-recommends redis-server \
 && rm -rf /var/lib/apt/lists/* /etc/redis \
 && install -d -o redis -g redis /data \
 && redis-server --version

COPY --chmod=0755 redis-entrypoint.sh /usr/local/bin/docker-entrypoint.sh

VOLUME /data
WORKDIR /data
EXPOSE 6379
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["redis-server"]

LABEL dockerfile-workshop.stand-in=true
LABEL org.opencontainers.image.description="A stand-in for redis:8, made on this machine"
