#!/bin/sh
# Start a cluster of one machine, and stay. /etc/cluster/admin.yaml is how to reach it.
set -eu

# The kubelet sets these for the whole machine, which isn't ours. Let it write into files.
for name in vm/overcommit_memory vm/panic_on_oom kernel/panic kernel/panic_on_oops \
    kernel/keys/root_maxkeys kernel/keys/root_maxbytes; do
    mkdir -p "sysctl/${name%/*}"
    cat "/proc/sys/$name" > "sysctl/$name"
    mount --bind "sysctl/$name" "/proc/sys/$name"
done
# What a pod mounts, others have to see.
mount --make-rshared /

mkdir -p /etc/cni/net.d
cp network.json /etc/cni/net.d/10-pods.conflist
# The bridge of the pods, for the names: it has to be there before the first pod.
ip link add pods0 type bridge
ip address add 10.244.0.1/24 dev pods0
ip link set pods0 up

openssl genrsa -out accounts.key 2048 2> /dev/null
token=$(openssl rand -hex 16)
echo "$token,admin,admin,system:masters" > tokens.csv
cat > admin.yaml << YAML
apiVersion: v1
kind: Config
clusters:
  - {name: cluster, cluster: {server: "https://127.0.0.1:6443", insecure-skip-tls-verify: true}}
users:
  - {name: admin, user: {token: $token}}
contexts:
  - {name: workshop-test, context: {cluster: cluster, user: admin}}
current-context: workshop-test
YAML
export KUBECONFIG=/etc/cluster/admin.yaml

etcd --data-dir /var/lib/etcd > etcd.log 2>&1 &
containerd --config containerd.toml > containerd.log 2>&1 &
kube-apiserver --etcd-servers http://127.0.0.1:2379 --cert-dir certificates \
    --service-cluster-ip-range 10.96.0.0/16 --token-auth-file tokens.csv \
    --authorization-mode RBAC --allow-privileged --kubelet-preferred-address-types InternalIP \
    --service-account-issuer https://cluster --service-account-key-file accounts.key \
    --service-account-signing-key-file accounts.key > apiserver.log 2>&1 &
until kubectl get --raw /readyz > /dev/null 2>&1; do sleep 0.5; done
kube-controller-manager --kubeconfig admin.yaml --service-account-private-key-file accounts.key \
    --root-ca-file certificates/apiserver.crt > controllers.log 2>&1 &
kube-scheduler --kubeconfig admin.yaml > scheduler.log 2>&1 &
until test -S /run/containerd/containerd.sock; do sleep 0.5; done
kubelet --config kubelet.yaml --kubeconfig admin.yaml --hostname-override node \
    --container-runtime remote \
    --container-runtime-endpoint unix:///run/containerd/containerd.sock > kubelet.log 2>&1 &
kube-proxy --kubeconfig admin.yaml --hostname-override node --cluster-cidr 10.244.0.0/24 \
    --conntrack-max-per-core 0 --conntrack-tcp-timeout-established 0 \
    --conntrack-tcp-timeout-close-wait 0 > proxy.log 2>&1 &

# A storage class makes volumes elsewhere. Here they are made before.
for number in 1 2 3 4 5 6 7 8 9; do
    mkdir -m 0777 "/srv/$number"
    cat << YAML
apiVersion: v1
kind: PersistentVolume
metadata: {name: "volume-$number"}
spec:
  accessModes: [ReadWriteOnce]
  capacity: {storage: 1Gi}
  hostPath: {path: "/srv/$number"}
---
YAML
done | kubectl apply --filename - > volumes.log

mkdir -p names
dnsmasq --keep-in-foreground --listen-address 10.244.0.1 --bind-interfaces --no-resolv \
    --no-hosts --local /cluster.local/ --hostsdir /etc/cluster/names > dnsmasq.log 2>&1 &
exec python3 names.py
