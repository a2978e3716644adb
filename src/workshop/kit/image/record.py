"""Record what is fetched until SIGTERM comes; then make of it what a room gets.

Runs in the container of the proxy. It leaves each answer once in /kit/flows, and in /kit/leaf.pem
a certificate for the hosts that answered. The authority that signed it is mitmproxy's own, made at
its start; its key stays behind.
"""

import datetime
import signal
import subprocess
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from mitmproxy import http, io

KIT = Path("/kit")
AUTHORITY = KIT / ".mitmproxy" / "mitmproxy-ca.pem"
DAYS = 180
# Its authority is made before it listens only when the folder is named: else a moment later.
RECORD = [
    "mitmdump", "--quiet", "--listen-port", "8080", "--save-stream-file", str(KIT / "recorded"),
    "--set", f"confdir={AUTHORITY.parent}",
    "--set", "connection_strategy=lazy",
    "--set", "ssl_verify_upstream_trusted_ca=/etc/ssl/certs/ca-certificates.crt",
]  # fmt: skip


def keep_answers():
    """Write each answer once; gives the hosts that answered, and how many answers there are."""
    kept = {}
    with (KIT / "recorded").open("rb") as recorded:
        for flow in io.FlowReader(recorded).stream():
            if not isinstance(flow, http.HTTPFlow) or flow.response is None:
                continue
            # A download that broke off has its headers; who asked for it has tried again.
            if flow.error or flow.response.raw_content is None:
                continue
            # "Not modified", and what failed, is no answer to somebody who has nothing yet.
            if flow.response.status_code in (304, 429) or flow.response.status_code >= 500:
                continue
            request = flow.request
            asked = (request.method, request.url, request.headers.get("range"), request.content)
            kept.setdefault(asked, flow)
    with (KIT / "flows").open("wb") as flows:
        writer = io.FlowWriter(flows)
        for flow in kept.values():
            writer.add(flow)
    return sorted({flow.request.host for flow in kept.values()}), len(kept)


def sign(hosts):
    """Write a key and a certificate for these hosts."""
    pem = AUTHORITY.read_bytes()
    authority = x509.load_pem_x509_certificate(pem)
    authority_key = serialization.load_pem_private_key(pem, None)
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    now = datetime.datetime.now(datetime.UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "dockerfile-workshop kit")])
    issuer = authority_key.public_key()
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=DAYS))
        .add_extension(x509.SubjectAlternativeName(list(map(x509.DNSName, hosts))), False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer), False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False)
    )
    certificate = builder.sign(authority_key, hashes.SHA256())
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (KIT / "leaf.pem").write_bytes(private + certificate.public_bytes(serialization.Encoding.PEM))


if __name__ == "__main__":
    recorder = subprocess.Popen(RECORD)
    signal.signal(signal.SIGTERM, lambda *_: recorder.terminate())
    recorder.wait()
    found, count = keep_answers()
    sign(found)
    print(count, len(found))
