# The base image of a kit: the same image, and it trusts the kit's certificate.
FROM python:3.13-slim
COPY kit.crt /usr/local/share/ca-certificates/dockerfile-workshop-kit.crt
# pip trusts the system's store; uv has to be told to. Debian's lists of security updates are valid
# for a week, and a kit is older.
RUN update-ca-certificates \
    && mkdir -p /etc/uv && echo 'system-certs = true' > /etc/uv/uv.toml \
    && echo 'Acquire::Check-Valid-Until "false";' > /etc/apt/apt.conf.d/dockerfile-workshop-kit
