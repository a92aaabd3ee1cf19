"""Programs that people use: curl, httpx, h2load, nghttp and a browser."""

import asyncio
import json
import re
import shutil
import subprocess

import httpx
import pytest

from conftest import ALPN_BOTH, both_listeners, clear_listener, proxied, secure_listener
from sluice_harness import client_context, reply
from sluice_harness.certificates import self_signed

PAGE = b"""<!doctype html><title>Sluice</title><link rel="stylesheet" href="/style.css"><body><p id="out">nothing</p>
<script>
Promise.all(Array.from({length: 30}, (_, n) => fetch("/data/" + n).then(r => r.json()))).then(all => {
  const sum = all.reduce((a, b) => a + b.n, 0);
  const kinds = new Set(performance.getEntriesByType("resource").map(e => e.nextHopProtocol));
  document.getElementById("out").textContent = "sum " + sum + " over " + [...kinds].join(",");
  document.title = "done";
});
</script>"""


def site(request, connection):
    if request.target == "/":
        return reply(200, PAGE, [("Content-Type", "text/html")])
    if request.target.startswith("/data/"):
        return reply(200, json.dumps({"n": int(request.target.split("/")[2])}).encode(), [("Content-Type", "application/json")])
    if request.target == "/style.css":
        return reply(200, b"p { color: green }", [("Content-Type", "text/css")])
    if request.target == "/big":
        return reply(200, b"b" * (1 << 20))
    return reply(200, request.body or b"ok")


@pytest.fixture
def road(world, pki):
    server = world.backend(site)
    return both_listeners(world, pki, server, limits={"connections_per_client": 2000, "request_body": "32MiB", "requests_per_connection": 1_000_000}), server


def run(*command, timeout=25, **more) -> subprocess.CompletedProcess:
    return subprocess.run([str(part) for part in command], capture_output=True, timeout=timeout, **more)


def address(sluice, listener: str) -> str:
    return "127.0.0.1:%d" % sluice.ports[listener]


# curl


@pytest.mark.parametrize("option, listener, version", [
    ("--http2", "secure", "2"), ("--http1.1", "secure", "1.1"), ("--http2-prior-knowledge", "clear", "2"), ("--http2", "clear", "1.1"), ("--http1.1", "clear", "1.1")])
def test_curl_speaks_each_version(road, pki, option, listener, version, tmp_path):
    sluice, _ = road
    upload = tmp_path / "upload"
    upload.write_bytes(b"u" * (5 << 20))
    scheme = "https" if listener == "secure" else "http"
    base = f"{scheme}://app.test:{sluice.ports[listener]}"
    common = ["curl", "-sS", option, "--cacert", pki.root.ca_file, "--noproxy", "*", "--resolve", f"app.test:{sluice.ports[listener]}:127.0.0.1",
              "-w", "\n%{http_version} %{http_code} %{size_download}"]
    for more, expected in ((["/big"], "200 1048576"), (["-I", "/"], "200 0"), (["-T", upload, "/up"], f"200 {5 << 20}"),
                           (["-d", "x=1", "-H", "Expect: 100-continue", "/post"], "200 3")):
        done = run(*common, *more[:-1], base + more[-1])
        assert done.returncode == 0, done.stderr
        assert done.stdout.decode("latin-1").rsplit("\n", 1)[1] == f"{version} {expected}", done.stdout[-200:]


def test_curl_refuses_a_certificate_that_it_does_not_know(road):
    sluice, _ = road
    assert run("curl", "-sS", "--noproxy", "*", f"https://{address(sluice, 'secure')}/").returncode == 60


def test_curl_shows_its_certificate(world, pki):
    server = world.backend(site)
    sluice = world.gateway({"listeners": [secure_listener(pki.server, client_auth={"ca_file": pki.clients.ca_file})], **proxied(server)})
    url = f"https://{address(sluice, 'secure')}/"
    common = ["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", "--noproxy", "*", "--cacert", pki.root.ca_file]
    assert run(*common, "--cert", pki.client.cert_file, "--key", pki.client.key_file, url).stdout == b"200"
    assert run(*common, url).returncode != 0


# httpx


@pytest.mark.parametrize("http2", [True, False])
def test_httpx_speaks_each_version(road, pki, http2):
    sluice, _ = road
    context = client_context(pki.root.ca_file, ALPN_BOTH if http2 else ("http/1.1",))
    with httpx.Client(http2=http2, verify=context, trust_env=False, base_url=f"https://{address(sluice, 'secure')}") as client:
        for number in range(20):
            response = client.get(f"/data/{number}")
            assert response.json() == {"n": number} and response.http_version == ("HTTP/2" if http2 else "HTTP/1.1")
        assert client.post("/echo", content=b"e" * 500_000).content == b"e" * 500_000
        with client.stream("GET", "/big") as streamed:
            assert sum(map(len, streamed.iter_bytes())) == 1 << 20
        assert client.head("/").status_code == 200


def test_httpx_asks_for_many_things_at_once(road, pki):
    sluice, _ = road
    context = client_context(pki.root.ca_file, ALPN_BOTH)

    async def all_of_them():
        async with httpx.AsyncClient(http2=True, verify=context, trust_env=False, base_url=f"https://{address(sluice, 'secure')}",
                                     limits=httpx.Limits(max_connections=1)) as client:
            return await asyncio.gather(*(client.get(f"/data/{number}") for number in range(100)))
    assert [response.json()["n"] for response in asyncio.run(all_of_them())] == list(range(100))


# h2load, nghttp


@pytest.mark.parametrize("listener", ["clear", "secure"])
@pytest.mark.seconds(90)
def test_h2load_with_many_streams_has_every_request_answered(road, listener):
    sluice, _ = road
    scheme = "https" if listener == "secure" else "http"
    done = run("h2load", "-n", 4000, "-c", 20, "-m", 50, f"{scheme}://{address(sluice, listener)}/", timeout=80)
    text = done.stdout.decode()
    assert "4000 succeeded, 0 failed, 0 errored, 0 timeout" in text and "4000 2xx" in text, text


@pytest.mark.seconds(60)
def test_h2load_uploads_bodies_at_once(road, tmp_path):
    sluice, server = road
    body = tmp_path / "body"
    body.write_bytes(b"l" * 100_000)
    done = run("h2load", "-n", 400, "-c", 4, "-m", 25, "-d", body, f"http://{address(sluice, 'clear')}/echo", timeout=50)
    assert "400 succeeded, 0 failed" in done.stdout.decode(), done.stdout.decode()


def test_nghttp_follows_priorities_windows_and_settings(road):
    sluice, _ = road
    done = run("nghttp", "-nvs", "-w", 14, "-W", 16, f"http://{address(sluice, 'clear')}/big", f"http://{address(sluice, 'clear')}/data/1",
               "--header-table-size=0", "--no-dep")
    text = done.stdout.decode()
    assert done.returncode == 0 and re.search(r"\+?\d+\S* +\S+ +200 +1M", text), text[-1500:]
    assert "GOAWAY" not in text.split("recv GOAWAY")[0] or "error_code=NO_ERROR" in text


# A browser


@pytest.mark.seconds(120)
def test_chromium_loads_a_page_over_http_2_with_a_self_signed_certificate(world, tmp_path):
    server = world.backend(site)
    certificate = self_signed(tmp_path, "localhost")
    sluice = world.gateway({"listeners": [secure_listener(certificate), clear_listener()], **proxied(server)})
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    assert browser, "chromium is not installed; scripts/test does it"
    done = run(browser, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--ignore-certificate-errors", "--no-proxy-server",
               "--no-first-run", "--disable-background-networking", "--disable-component-update", f"--user-data-dir={tmp_path / 'profile'}",
               "--virtual-time-budget=15000", "--dump-dom", f"https://localhost:{sluice.ports['secure']}/", timeout=100, env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"})
    page = done.stdout.decode()
    assert f"sum {sum(range(30))} over h2" in page, (page[-800:], done.stderr.decode()[-1500:])
    versions = {entry["http_version"].rstrip(".0") for entry in sluice.wait_access(32) if entry["path"].startswith("/data/")}
    assert versions == {"2"}
