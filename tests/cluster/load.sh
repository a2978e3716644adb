#!/bin/sh
# Bring images of the engine into the cluster: sh load.sh IMAGE...
set -eu
"$DOCKER" save "$@" | "$DOCKER" exec --interactive "$CLUSTER" ctr --namespace k8s.io images import - > /dev/null
