"""The example configuration for nginx in front of the service, in the real nginx."""

import contextlib
import json
import os
import re
import shutil
import ssl
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from forewarn.inference.service import Settings
from forewarn.inference.service.keys import new_key
from forewarn.inference.service.keys_store import open_store
from test_server import check_error, serving, wait_until
from test_service_stores import free_port

EXAMPLE = Path(__file__).parents[1] / "inference" / "service" / "nginx.conf.example"
NGINX = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")
MARK = "zq7marked"

# The example needs its module for streams, which Debian packages apart.
INSTALLED = NGINX and Path("/usr/lib/nginx/modules/ngx_stream_module.so").is_file()

TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")

pytestmark = pytest.mark.skipif(
    not INSTALLED, reason="nginx is not installed (Debian: apt-get install nginx-light libnginx-mod-stream)"
)


class Authority:
    """Signs certificates, and writes each beside its key."""

    def __init__(self, folder):
        self.folder, self.key, self.name = folder, None, None
        self.certificate = self.issue("ca", "authority")

    def issue(self, name, common_name):
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        self.key, self.name = self.key or key, self.name or subject
        now = datetime.now(UTC)
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self.name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=name == "ca", path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key()), critical=False)
            .sign(self.key, hashes.SHA256())
        )
        path = self.folder / f"{name}.pem"
        path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
        private = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        path.with_suffix(".key").write_bytes(key.private_bytes(*private))
        return path


@contextlib.contextmanager
def nginx(folder, service_port, changes=MappingProxyType({})):
    """nginx with the example, its paths and ports set, and `changes`; gives the port for requests, and for streams."""
    port, stream_port = free_port(), free_port()
    places = {
        "/run/nginx.pid": folder / "nginx.pid",
        # At this level it tells of each body that it writes to a file, which no look at the folder would catch.
        "/var/log/nginx/error.log crit": f"{folder}/error.log warn",
        "listen 8443 ssl": f"listen 127.0.0.1:{stream_port} ssl",
        "127.0.0.1:8000": f"127.0.0.1:{service_port}",
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        "forewarn.example": "localhost",
        "/etc/nginx/server.pem": folder / "server.pem",
        "/etc/nginx/server.key": folder / "server.key",
        "/etc/nginx/clients-ca.pem": folder / "ca.pem",
        **changes,
    }
    text = EXAMPLE.read_text()
    for theirs, ours in places.items():
        assert theirs in text, theirs
        text = text.replace(theirs, str(ours))
    # What the example leaves to the package's defaults, and what lets the folders be ours.
    folders = "\n".join(f"{kind}_temp_path {folder}/temporary;" for kind in TEMPORARY)
    text = text.replace("http {", f"http {{\n{folders}")
    config = folder / "nginx.conf"
    config.write_text("user root;\n" + text if os.geteuid() == 0 else text)
    command = [NGINX, "-c", str(config), "-e", str(folder / "error.log")]
    checked = subprocess.run([*command, "-t"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    assert "warn" not in checked.stderr, checked.stderr
    process = subprocess.Popen([*command, "-g", "daemon off;"])
    try:
        wait_until(lambda: (folder / "nginx.pid").is_file() and (folder / "nginx.pid").read_text())
        yield port, stream_port
    finally:
        process.terminate()
        process.wait(20)


def test_a_client_that_asks_too_often_is_told_so_in_json(tiny_classifier, tiny_bundle, tmp_path):
    authority = Authority(tmp_path)
    client = authority.issue("client", "a carrier")
    authority.issue("server", "localhost")
    known = ssl.create_default_context(cafile=str(authority.certificate))
    known.load_cert_chain(client, client.with_suffix(".key"))
    slow = {"rate=200r/s": "rate=1r/m", "burst=400": "burst=1"}
    body = {"messages": [{"id": "1", "text": "hello mum"}]}
    with (
        serving(tiny_classifier, tiny_bundle) as service,
        nginx(tmp_path, service.base_url.port, slow) as (port, _),
        httpx.Client(base_url=f"https://localhost:{port}", verify=known, timeout=20) as http,
    ):
        answers = [http.post("/v1/score", json=body) for _ in range(3)]
    assert [x.status_code for x in answers] == [200, 200, 429]
    check_error(answers[-1], 429, "rate_limited")
    assert answers[-1].headers["Retry-After"] == "1"
    assert answers[-1].headers["Content-Type"] == "application/json"


def test_the_example_asks_for_a_certificate_and_a_key_and_keeps_no_text(tiny_classifier, tiny_bundle, tmp_path):
    authority = Authority(tmp_path)
    server, client = authority.issue("server", "localhost"), authority.issue("client", "a carrier")
    url = f"sqlite:///{tmp_path}/keys.db"
    store = open_store(url)
    key, token = new_key("a carrier")
    store.add(key)
    store.close()
    trust = ssl.create_default_context(cafile=str(authority.certificate))
    known = ssl.create_default_context(cafile=str(authority.certificate))
    known.load_cert_chain(client, client.with_suffix(".key"))
    assert server.is_file()
    body = {"messages": [{"id": "1", "text": f"{MARK} tax refund " * 4000}]}  # far more than nginx keeps in memory
    with serving(tiny_classifier, tiny_bundle, Settings(keys=url), server_header=False) as service:
        with nginx(tmp_path, service.base_url.port) as (port, stream_port):
            base, streams = f"https://localhost:{port}", f"https://localhost:{stream_port}/v1/score/stream"
            with httpx.Client(base_url=base, verify=known, timeout=20) as http:
                wait_until(lambda: http.get("/readyz").status_code == 200)
                check_error(http.post("/v1/score", json=body), 401, "key_missing")
                http.headers["Authorization"] = f"Bearer {token}"
                answer = http.post("/v1/score", json=body, params={"text": MARK})
                assert answer.status_code == 200 and len(answer.json()["results"]) == 1
                assert answer.headers["Cache-Control"] == "no-store"
                assert answer.headers["Server"] == "nginx"  # its name without the version
                assert "8443" in check_error(http.post("/v1/score/stream"), 404, "not_found")
                lines = "\n".join(json.dumps(x) for x in body["messages"] * 100)  # more than all sockets hold
                streamed = http.post(streams, content=lines, headers={"Content-Type": "application/x-ndjson"})
                assert [json.loads(x)["id"] for x in streamed.text.splitlines()] == ["1"] * 100
                for content in (MARK * 1_000_000, iter([MARK.encode() * 1000] * 1000)):
                    answer = http.post("/v1/score", content=content, headers={"Content-Type": "application/json"})
                    check_error(answer, 413, "body_too_large")
            with httpx.Client(base_url=base, verify=trust, timeout=20, headers=http.headers) as stranger:
                assert stranger.post("/v1/score", json=body).status_code == 400
                with pytest.raises(httpx.TransportError):
                    stranger.post(streams, content=lines)
        kept = [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]
    assert not any(MARK.encode() in content or token.encode() in content for content in kept)
    assert re.search(r"emerg|alert|temporary file", (tmp_path / "error.log").read_text()) is None
