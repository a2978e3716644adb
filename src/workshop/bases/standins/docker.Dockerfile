# A stand-in for docker:26-dind, for a machine that reaches no registry: Debian's own engine 26.1
# and its command line. It is started as `dockerd OPTION…`, in a privileged container; without a
# command, the official image would listen on the network as well, with certificates.

FROM dockerfile-workshop/debian:trixie-slim

RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates docker-cli docker.io iptables \
 && rm -rf /var/lib/apt/lists/* \
 && dockerd --version

COPY --chmod=0755 docker-entrypoint.sh /usr/local/bin/dockerd-entrypoint.sh

VOLUME /var/lib/docker
ENTRYPOINT ["dockerd-entrypoint.sh"]
CMD ["dockerd"]

LABEL dockerfile-workshop.stand-in=true
LABEL org.opencontainers.image.description="A stand-in for docker:26-dind, made on this machine"
