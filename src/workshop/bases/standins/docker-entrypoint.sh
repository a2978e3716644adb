#!/bin/sh
# Start an engine in a container: prepare what it expects of a machine.
set -e

if [ "$1" = dockerd ]; then
    # A container that was killed leaves the number of a process that is no more.
    rm -f /var/run/docker.pid /run/docker/containerd/containerd.pid
    # A group that has processes of its own can't have groups with limits below it.
    groups=/sys/fs/cgroup
    if [ -f $groups/cgroup.controllers ]; then
        mkdir -p $groups/init
        while read -r process; do
            echo "$process" > $groups/init/cgroup.procs 2> /dev/null || true
        done < $groups/cgroup.procs
        sed 's/[^ ][^ ]*/+&/g' $groups/cgroup.controllers > $groups/cgroup.subtree_control
    fi
    # What an inner container mounts has to be seen by the others.
    mount --make-rshared /
fi

exec "$@"
