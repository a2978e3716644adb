"""The names of the Services for dnsmasq, as long as there is no CoreDNS: once a second.

A Service without an address of its own stands for the pods that are ready.
"""

import json
import subprocess
import time
from pathlib import Path

HOSTS = Path("/etc/cluster/names/services")


def listed(kind):
    command = ["kubectl", "get", kind, "--all-namespaces", "--output", "json"]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["items"]


def name(found):
    return f"{found['metadata']['name']}.{found['metadata']['namespace']}.svc.cluster.local"


def lines():
    addresses = {name(found): found["spec"]["clusterIP"] for found in listed("services")}
    for service, address in addresses.items():
        if address != "None":
            yield f"{address} {service}"
    for found in listed("endpoints"):
        if addresses.get(name(found)) == "None":
            for part in found.get("subsets", []):
                for pod in part.get("addresses", []):
                    yield f"{pod['ip']} {name(found)}"


while True:
    try:
        told = "".join(f"{line}\n" for line in sorted(lines()))
    except subprocess.CalledProcessError:
        told = None
    if told is not None and told != (HOSTS.read_text() if HOSTS.exists() else ""):
        HOSTS.write_text(told)
    time.sleep(1)
