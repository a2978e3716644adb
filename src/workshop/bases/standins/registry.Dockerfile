# A stand-in for registry:2, for a machine that reaches no registry: Debian's own registry 2.8, at
# the paths and with the settings of the official image.

FROM dockerfile-workshop/debian:trixie-slim

RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates docker-registry \
 && rm -rf /var/lib/apt/lists/* /var/lib/docker-registry \
 && ln -s /usr/bin/docker-registry /bin/registry \
 && registry --version

COPY registry.yml /etc/docker/registry/config.yml
COPY --chmod=0755 registry-entrypoint.sh /entrypoint.sh

VOLUME /var/lib/registry
EXPOSE 5000
ENTRYPOINT ["/entrypoint.sh"]
CMD ["/etc/docker/registry/config.yml"]

LABEL dockerfile-workshop.stand-in=true
LABEL org.opencontainers.image.description="A stand-in for registry:2, made on this machine"
