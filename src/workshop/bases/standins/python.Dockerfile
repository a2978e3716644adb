# A stand-in for python:3.13-slim, for a machine that reaches no registry.
# Same layers in the same order as the official image: Debian, certificates, Python, names.
# Python is compiled from the source archive that Debian keeps, untouched by Debian's patches,
# without profile-guided optimisation (it would take many times as long).

FROM dockerfile-workshop/debian:trixie-slim AS base

ENV PATH=/usr/local/bin:$PATH

RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates netbase tzdata \
 && rm -rf /var/lib/apt/lists/*


FROM base AS compile

RUN apt-get update \
 && apt-get install -y --no-install-recommends \
      dpkg-dev gcc libbz2-dev libc6-dev libffi-dev libgdbm-dev liblzma-dev libncurses-dev \
      libreadline-dev libsqlite3-dev libssl-dev make pkg-config uuid-dev xz-utils zlib1g-dev \
 && rm -rf /var/lib/apt/lists/*

WORKDIR /source
RUN sed 's/^Types: deb$/Types: deb-src/' /etc/apt/sources.list.d/debian.sources \
      > /etc/apt/sources.list.d/source.sources \
 && apt-get update \
 && apt-get source --download-only python3.13 \
 && tar --extract --strip-components=1 --file python3.13_*.orig.tar.xz \
 && rm -rf /var/lib/apt/lists/*

# -g0: what debuggers read is stripped anyway. -O2: -O3 takes longer and gains little.
RUN ./configure --enable-shared --with-ensurepip --disable-test-modules \
      CFLAGS_NODIST="-g0 -O2" LDFLAGS="-Wl,--strip-all"
RUN make -j "$(nproc)"
# Bytecode for every file (-x: but those that match) would be removed again below.
RUN make install COMPILEALL_OPTS="-x ."

# ldconfig: so that ldd finds libpython. -B: no bytecode comes back.
RUN ldconfig \
 && find /usr/local -depth \
      \( -type d \( -name test -o -name tests -o -name idle_test -o -name __pycache__ \) \) \
      -exec rm -rf {} + \
 && find /usr/local -name '*.a' -delete \
 && find /usr/local -type f -perm -u=x ! -name '*tkinter*' -exec ldd {} + 2>/dev/null \
      | awk '$3 ~ "^/" && $3 !~ "^/usr/local/" { print $3 }' | sort -u \
      | xargs realpath | xargs dpkg-query --search | cut -d : -f 1 | sort -u \
      > /run-time-packages \
 && python3 -B -c "import bz2, ctypes, curses, dbm.gnu, decimal, hashlib, lzma, readline" \
 && python3 -B -c "import sqlite3, ssl, uuid, zlib; uuid._generate_time_safe"


FROM base

ARG VERSION
ENV PYTHON_VERSION=$VERSION

RUN --mount=from=compile,source=/usr/local,target=/compiled \
    --mount=from=compile,source=/run-time-packages,target=/run-time-packages \
    cp --archive /compiled/bin /compiled/include /compiled/lib /compiled/share /usr/local/ \
 && ldconfig \
 && apt-get update \
 && xargs apt-get install -y --no-install-recommends < /run-time-packages \
 && xargs apt-mark manual < /run-time-packages > /dev/null \
 && rm -rf /var/lib/apt/lists/* \
 && test "$(python3 -B --version)" = "Python $PYTHON_VERSION" \
 && python3 -B -m pip --version

RUN for name in idle pip pydoc python; do ln -sT "${name}3" "/usr/local/bin/$name"; done \
 && ln -sT python3-config /usr/local/bin/python-config

LABEL dockerfile-workshop.stand-in=true
LABEL org.opencontainers.image.description="A stand-in for python:3.13-slim, made on this machine"

CMD ["python3"]
