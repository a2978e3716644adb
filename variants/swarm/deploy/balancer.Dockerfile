# The load balancer, from Debian's package.
FROM python:3.13-slim

RUN apt-get update \
    && apt-get install -y --no-install-recommends haproxy \
    && rm -rf /var/lib/apt/lists/*

COPY haproxy.cfg /etc/haproxy/haproxy.cfg
USER haproxy
EXPOSE 8000
CMD [ "haproxy", "-db", "-f", "/etc/haproxy/haproxy.cfg" ]
