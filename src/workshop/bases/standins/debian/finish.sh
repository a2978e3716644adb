#!/bin/sh
# Give a fresh Debian root file system ($1) what Debian's own slim image has.
# mmdebstrap runs this on the host. STANDIN is a folder with the data files beside
# this script, debian.sources and, in certificates/, the machine's own authorities.
set -eu
root=$1

mv "$root/etc/dpkg/dpkg.cfg.d/99mmdebstrap" "$root/etc/dpkg/dpkg.cfg.d/docker"
install -m 0644 "$STANDIN/dpkg-speedup" "$root/etc/dpkg/dpkg.cfg.d/docker-apt-speedup"
for file in "$STANDIN"/apt-docker-*; do
    install -m 0644 "$file" "$root/etc/apt/apt.conf.d/${file##*/apt-}"
done

rm -f "$root/etc/apt/sources.list" "$root"/etc/apt/sources.list.d/*
install -m 0644 "$STANDIN/debian.sources" "$root/etc/apt/sources.list.d/debian.sources"

# Packages must not start services while an image is built.
printf '#!/bin/sh\nexit 101\n' > "$root/usr/sbin/policy-rc.d"
chmod 0755 "$root/usr/sbin/policy-rc.d"

install -d "$root/usr/local/share/ca-certificates"
for file in "$STANDIN"/certificates/*.crt; do
    [ -e "$file" ] || continue
    install -m 0644 "$file" "$root/usr/local/share/ca-certificates/"
    # pip trusts the system's store; uv has to be told to.
    install -d "$root/etc/uv"
    echo 'system-certs = true' > "$root/etc/uv/uv.toml"
done
if [ -e "$root/usr/sbin/update-ca-certificates" ]; then
    chroot "$root" update-ca-certificates
fi

rm -rf "$root"/var/log/*.log "$root"/var/log/apt/* "$root"/var/cache/debconf/*-old \
    "$root"/var/lib/dpkg/*-old "$root"/var/cache/apt/*.bin
