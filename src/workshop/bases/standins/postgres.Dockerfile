# A stand-in for postgres:17, for a machine that reaches no registry: Debian's own PostgreSQL 17,
# at the paths, under the ids and with the settings of the official image.

FROM dockerfile-workshop/debian:trixie-slim

ENV LANG=C.UTF-8 PG_MAJOR=17
ENV PATH=$PATH:/usr/lib/postgresql/$PG_MAJOR/bin PGDATA=/var/lib/postgresql/data

# The user comes first, so that the package does not choose other ids.
RUN groupadd --system --gid 999 postgres \
 && useradd --system --gid postgres --uid 999 --home-dir /var/lib/postgresql \
      --shell /bin/bash postgres \
 && mkdir --parents /etc/postgresql-common \
 && echo 'create_main_cluster = false' > /etc/postgresql-common/createcluster.conf \
 && apt-get update \
 && apt-get install -y --no-install-recommends postgresql-$PG_MAJOR \
 && rm -rf /var/lib/apt/lists/* \
 && echo "listen_addresses = '*'" >> /usr/share/postgresql/$PG_MAJOR/postgresql.conf.sample \
 && install -d -o postgres -g postgres -m 3777 /var/run/postgresql \
 && install -d -o postgres -g postgres -m 1777 "$PGDATA" \
 && mkdir /docker-entrypoint-initdb.d \
 && postgres --version

COPY --chmod=0755 postgres-entrypoint.sh /usr/local/bin/docker-entrypoint.sh

VOLUME /var/lib/postgresql/data
EXPOSE 5432
STOPSIGNAL SIGINT
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["postgres"]

LABEL dockerfile-workshop.stand-in=true
LABEL org.opencontainers.image.description="A stand-in for postgres:17, made on this machine"
