"""The names of earlier gateways: flat keys and environment variables (behaviour B.13; issue: each with its effect, each tested)."""

import json
import os
import re
import socket
import subprocess
import threading

import pytest

from sluice_harness import reply, request_bytes, sluice_binary, until
from sluice_harness.process import free_port, parsed

VARIABLES = ["DEBUG", "API_V1_PREFIX", "SECRET_KEY", "RATE_LIMIT_PER_SECOND", "ACCESS_TOKEN_EXPIRE_MINUTES", "REDIS_HOST",
             "REDIS_PORT",
             "USERS_SERVICE_URL"]
LONG_SECRET = "a-secret-of-more-than-thirty-two-bytes-0123456789"


@pytest.fixture(autouse=True)
def a_clean_environment(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def sluice(*arguments, environment=None):
    return subprocess.run([sluice_binary(), *arguments], capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL,
                          env={**os.environ, **(environment or {})})


@pytest.fixture
def show(tmp_path):
    """What a file and an environment come to: (configuration, sources), as `sluice config show --json` says it of the file."""
    def run(text, **environment):
        path = tmp_path / "sluice.yaml"
        path.write_text(text)
        said = sluice("config", "show", "--json", "--config", str(path), environment=environment)
        assert said.returncode == 0, said
        document = json.loads(said.stdout)
        return document["configuration"], document["sources"]
    return run


@pytest.fixture
def problems(tmp_path):
    """What `sluice check` says of a file that must be refused."""
    def run(text, **environment):
        path = tmp_path / "sluice.yaml"
        path.write_text(text)
        said = sluice("check", "--config", str(path), environment=environment)
        assert said.returncode == 1, said
        return said.stdout + said.stderr
    return run


@pytest.fixture
def start(gateway, backend):
    """Starts a daemon from flat keys: `start("workers: 1", handler=…)`."""
    def run(flat="", handler=None, listeners=True, service="", routes=None, admin=True, access_log=True, wait_ready=True,
            **environment):
        server = backend(handler)
        text = flat + "\n"
        if listeners:
            text += "listeners:\n  - {name: web, address: \"@web@\"}\n"
        if admin:
            text += "admin: {address: \"@admin@\"}\n"
        if access_log:
            text += "access_log: {output: \"@dir@/access.log\"}\n"
        text += f"services:\n  users: {{instances: [{{url: \"{server.url}\"}}]{service}}}\n"
        text += routes if routes is not None else "routes:\n  - {name: all, match: {path: \"/*\"}, service: users}\n"
        return gateway(text, environment=environment, wait_ready=wait_ready), server
    return run


BASE = "listeners:\n  - {name: web, address: \"127.0.0.1:1\"}\nroutes: []\n"
SERVED = ("listeners:\n  - {name: web, address: \"127.0.0.1:1\"}\nservices:\n  users: {instances: [{url: \"http://127.0.0.1:2\"}]}\n"
          "  orders: {instances: [{url: \"http://127.0.0.1:3\"}], timeouts: {response: 7s}, pool: {max_connections: 7},\n"
          "           health_check: {path: /h}, circuit_breaker: {success_threshold: 2}}\n"
          "routes:\n  - {name: all, match: {path: \"/*\"}, service: users}\n")


# Keys


def test_host_and_port_are_the_one_listener(start, gateway):
    port = free_port()
    one, _ = start(f"host: 127.0.0.1\nport: {port}", listeners=False)
    one.ports["web"] = port
    response = one.request("GET", "/")
    assert response.status == 200 and one.entry(response)["listener"] == "default"
    shown = one.admin("GET", "/config").json()
    assert shown["configuration"]["listeners"][0]["address"] == f"127.0.0.1:{port}"
    assert "older name" in shown["sources"]["listeners[0].address"], "a note in the effective dump"


@pytest.mark.parametrize("flat,address", [("host: 127.0.0.1", "127.0.0.1:8000"), ("port: 8123", "0.0.0.0:8123"),
                                          ("host: \"::1\"\nport: 8123", "[::1]:8123"),
                                          ("host: \"[::1]\"\nport: 8123", "[::1]:8123")])
def test_what_is_left_out_of_host_and_port_is_what_it_was(show, flat, address):
    configuration, sources = show(flat + "\nroutes: []\n")
    assert configuration["listeners"][0]["address"] == address
    assert re.search(r"older name (host|port) at .*sluice\.yaml:1:", sources["listeners[0].address"])


def test_workers_is_the_number_of_threads(start):
    one, _ = start("workers: 3")
    assert one.admin("GET", "/status").json()["workers"] == 3
    assert [entry["workers"] for entry in one.log_entries() if entry.get("message") == "ready"] == [3]


@pytest.mark.parametrize("word,level", [("debug", "debug"), ("INFO", "info"), ("WARNING", "warn"), ("warn", "warn"),
                                        ("ERROR", "error"), ("critical", "error")])
def test_log_level_is_the_level_in_either_case_and_with_its_older_words(start, word, level):
    one, _ = start(f"log_level: {word}", wait_ready=False)
    one.check_descriptors = False
    until(lambda: one.accepts(one.ports["admin"]), 10, "it listens")
    assert one.admin("GET", "/log").json() == {"level": level}


def test_request_timeout_is_the_response_timeout_of_services_that_say_nothing(start, show):
    gate = threading.Event()

    def handler(request, connection):
        gate.wait(20)
        return reply()
    one, _ = start("request_timeout: 300ms", handler)
    response = one.request("GET", "/")
    gate.set()
    assert response.status == 504 and response.json()["error"]["code"] == "UPSTREAM_TIMEOUT"
    configuration, sources = show("request_timeout: 30\n" + SERVED)
    assert configuration["services"]["users"]["timeouts"]["response"] in (30, "30s")
    assert configuration["services"]["orders"]["timeouts"]["response"] == "7s"
    assert "older name request_timeout" in sources["services.users.timeouts.response"]
    assert "older" not in sources["services.orders.timeouts.response"]


def test_connection_pool_size_is_the_pool_of_services_that_say_nothing(start, show):
    gate = threading.Event()

    def handler(request, connection):
        assert gate.wait(20)
        return reply()
    one, server = start("connection_pool_size: 2", handler)
    clients = [one.connect() for _ in range(5)]
    for client in clients:
        client.send(request_bytes())
    server.wait_heads(2)
    until(lambda: one.metrics().sum("sluice_upstream_queue_length", service="users") == 3, 5, "three wait")
    assert len(server.connections) == 2
    gate.set()
    assert [client.read_response().status for client in clients] == [200] * 5
    for client in clients:
        client.close()
    configuration, _ = show("connection_pool_size: 50\n" + SERVED)
    assert [configuration["services"][name]["pool"]["max_connections"] for name in ("users", "orders")] == [50, 7]


def test_metrics_enabled_is_whether_the_admin_listener_serves_metrics(start, gateway):
    """Without a block `admin`, beside which the key would be no longer an older one alone, it listens at its usual address."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", 9901))
        except OSError:
            pytest.skip("something else listens on 9901")
    one, _ = start("metrics_enabled: false", admin=False)
    one.ports["admin"] = 9901
    assert one.admin("GET", "/metrics").status == 404 and one.admin("GET", "/health").status == 200


@pytest.mark.parametrize("flat,logged", [("log_requests: false", False), ("log_requests: true", True),
                                         ("log_responses: false", True),
                                         ("log_requests: false\nlog_responses: true", True),
                                         ("log_requests: false\nlog_responses: false", False)])
def test_log_requests_and_log_responses_switch_the_access_log(gateway, flat, logged):
    one = gateway(f"{flat}\nlisteners:\n  - {{name: web, address: \"@web@\"}}\nadmin: {{address: \"@admin@\"}}\n"
                  "routes:\n  - {name: all, match: {path: \"/*\"}, respond: {body: x}}\n")
    assert one.request("GET", "/").status == 200
    if logged:
        one.stdout.wait(lambda line: parsed(line).get("type") == "access", 5)
    one.stop()
    one.stdout.thread.join(5)
    assert any('"type":"access"' in line for line in one.stdout.lines) is logged


def test_limits_of_the_gateway_are_first_in_the_chain_of_every_route(show):
    text = ("max_requests_per_second: 1000\nrate_limit_per_minute: 60\n" + BASE.replace("routes: []\n", "")
            + "middlewares:\n  h: {headers: {response: {set: {X-A: b}}}}\nroutes:\n  - {name: a, match: {path: /a}, respond: {}}\n"
            + "  - {name: b, match: {path: /b}, respond: {}, middlewares: [h]}\n  - {name: c, match: {path: /c}, health: true}\n")
    configuration, sources = show(text)
    total = configuration["middlewares"]["max_requests_per_second"]["rate_limit"]
    assert (total["key"], total["rate"], total["burst"]) == ("global", "1000/s", 1000)
    each = configuration["middlewares"]["rate_limit_per_minute"]["rate_limit"]
    assert (each["key"], each["rate"]) == ("ip", "60/m")
    chains = [route.get("middlewares", []) for route in configuration["routes"]]
    assert chains[0] == ["max_requests_per_second", "rate_limit_per_minute"]
    assert chains[1] == ["max_requests_per_second", "rate_limit_per_minute", "h"] and chains[2] == []
    assert "older name" in sources["middlewares.rate_limit_per_minute.rate_limit.rate"]


def test_health_check_interval_fills_blocks_that_are_there_and_circuit_breaker_threshold_every_breaker(show):
    configuration, sources = show("health_check_interval: 15\ncircuit_breaker_threshold: 9\n" + SERVED)
    orders = configuration["services"]["orders"]
    assert orders["health_check"]["interval"] in (15, "15s") and orders["circuit_breaker"]["failure_threshold"] == 9
    assert "older name health_check_interval" in sources["services.orders.health_check.interval"]
    users = configuration["services"]["users"]
    assert "health_check" not in users, "a check is not switched on by its interval"
    assert users["circuit_breaker"]["failure_threshold"] == 9, "every service has a breaker"


def test_jwt_secret_and_api_key_header_make_middlewares(show):
    configuration, sources = show(f"jwt_secret: {LONG_SECRET}\napi_key_header: X-My-Key\n" + BASE)
    assert configuration["middlewares"]["jwt"]["jwt"]["algorithms"] == ["HS256"]
    assert configuration["middlewares"]["jwt"]["jwt"]["secret"] == "***"
    assert configuration["middlewares"]["api_key"]["api_key"]["header"] == "X-My-Key"
    assert "older name jwt_secret" in sources["middlewares.jwt.jwt.secret"] and LONG_SECRET not in json.dumps([configuration,
        sources])


def test_a_short_jwt_secret_is_refused(problems):
    """B.5: less than 32 bytes for HS256 is a load error; hardening 190."""
    said = problems("jwt_secret: short-secret\n" + BASE)
    assert "sluice.yaml:1:" in said and "32" in said and "short-secret" not in said


BOTH = {
    "host": ("host: 127.0.0.1\n", BASE, "listeners"),
    "port": ("port: 8000\n", BASE, "listeners"),
    "workers": ("workers: 1\n", BASE + "server: {workers: 1}\n", "server.workers"),
    "log_level": ("log_level: info\n", BASE + "server: {log_level: info}\n", "server.log_level"),
    "metrics_enabled": ("metrics_enabled: true\n", BASE + "admin: {metrics: true}\n", "admin.metrics"),
    "log_requests": ("log_requests: true\n", BASE + "access_log: {enabled: true}\n", "access_log.enabled"),
    "log_responses": ("log_responses: true\n", BASE + "access_log: {enabled: true}\n", "access_log.enabled"),
    "max_requests_per_second": ("max_requests_per_second: 5\n",
                                BASE + "middlewares: {max_requests_per_second: {rate_limit: {}}}\n",
                                "middlewares.max_requests_per_second"),
    "rate_limit_per_minute": ("rate_limit_per_minute: 5\n", BASE + "middlewares: {rate_limit_per_minute: {rate_limit: {}}}\n",
                              "middlewares.rate_limit_per_minute"),
    "jwt_secret": (f"jwt_secret: {LONG_SECRET}\n",
                   BASE + f"middlewares: {{jwt: {{jwt: {{algorithms: [HS256], secret: {LONG_SECRET}}}}}}}\n", "middlewares.jwt"),
    "api_key_header": ("api_key_header: X-K\n", BASE + "middlewares: {api_key: {api_key: {header: X-K}}}\n",
                       "middlewares.api_key"),
}


@pytest.mark.parametrize("name", BOTH)
def test_an_older_name_beside_the_newer_one_is_an_error_that_names_both(problems, name):
    flat, text, newer = BOTH[name]
    said = problems(flat + text)
    assert re.search(rf"sluice\.yaml:1:1: error: {name}\b", said), said
    assert newer in said and LONG_SECRET not in said


@pytest.mark.parametrize("flat", [
    "port: 70000", "port: -1", "port: http", "host: \"a b\"", "workers: 0", "workers: many", "log_level: loud",
    "request_timeout: -1s",
    "request_timeout: soon", "connection_pool_size: 0", "connection_pool_size: -5", "metrics_enabled: maybe", "log_requests: 1.5",
    "max_requests_per_second: 0", "rate_limit_per_minute: many", "health_check_interval: 0", "circuit_breaker_threshold: 0",
    "api_key_header: \"X K\"", "jwt_secret: [a]", "hosts: 127.0.0.1", "log_request: true"])
def test_a_bad_value_of_an_older_name_is_refused_where_it_stands(problems, flat):
    text = (BASE if not flat.startswith(("host:", "port:")) else "routes: []\n")
    assert "sluice.yaml:1:" in problems(flat + "\n" + text)


# Environment


def test_debug_is_the_log_level_debug(start, show):
    one, _ = start(DEBUG="true")
    assert one.admin("GET", "/log").json() == {"level": "debug"}
    shown = one.admin("GET", "/config").json()
    assert shown["configuration"]["server"]["log_level"] == "debug" and shown["sources"]["server.log_level"] == "environment DEBUG"
    for value in ("false", "", "0"):
        assert show(BASE, DEBUG=value)[0]["server"]["log_level"] == "info"
    assert show("server: {log_level: warn}\n" + BASE, DEBUG="true")[0]["server"]["log_level"] == "debug", "a variable wins"


@pytest.mark.parametrize("prefix", ["/gate", "/gate/", "/a/b"])
def test_api_v1_prefix_is_put_before_the_routes_of_the_api(start, prefix):
    routes = ("routes:\n  - {name: one, match: {path: \"/api/v1/users/*\"}, service: users}\n"
              "  - {name: exact, match: {path: \"/api/v1/one\"}, service: users}\n"
              "  - {name: two, match: {path: \"/other/*\"}, service: users}\n"
              "  - {name: v2, match: {path: \"/api/v10/*\"}, service: users}\n")
    one, server = start(routes=routes, API_V1_PREFIX=prefix)
    before = prefix.rstrip("/")
    for path, status in ((f"{before}/api/v1/users/7?x=1", 200), (f"{before}/api/v1/one", 200), ("/api/v1/users/7", 404),
                         ("/other/x", 200),
                         ("/api/v10/x", 200), (f"{before}/other/x", 404)):
        assert one.request("GET", path).status == status, path
    assert [head.target for head in server.heads] == ["/api/v1/users/7?x=1", "/api/v1/one", "/other/x",
                                                      "/api/v10/x"], "backends do not see it"
    assert server.heads[0].header("x-forwarded-prefix") == before
    shown = one.admin("GET", "/config").json()
    assert "API_V1_PREFIX" in shown["sources"]["routes[0].match.path"]


def test_secret_key_is_the_hs256_secret(show):
    text = BASE + f"middlewares: {{jwt: {{jwt: {{algorithms: [HS256], secret: \"{'f' * 40}\"}}}}}}\n"
    for given in (BASE, text):
        configuration, sources = show(given, SECRET_KEY=LONG_SECRET)
        assert configuration["middlewares"]["jwt"]["jwt"]["secret"] == "***"
        assert sources["middlewares.jwt.jwt.secret"] == "environment SECRET_KEY"
        assert LONG_SECRET not in json.dumps([configuration, sources])


def test_a_short_secret_key_is_refused_without_being_shown(problems):
    said = problems(BASE, SECRET_KEY="short-secret")
    assert "SECRET_KEY" in said and "32" in said and "short-secret" not in said


def test_rate_limit_per_second_is_the_rate_of_limits_that_say_none(show):
    text = BASE + "middlewares: {one: {rate_limit: {key: ip}}, two: {rate_limit: {rate: 7/m}}}\n"
    configuration, sources = show(text, RATE_LIMIT_PER_SECOND="25")
    assert configuration["middlewares"]["one"]["rate_limit"]["rate"] == "25/s"
    assert configuration["middlewares"]["two"]["rate_limit"]["rate"] == "7/m"
    assert sources["middlewares.one.rate_limit.rate"] == "environment RATE_LIMIT_PER_SECOND"


def test_access_token_expire_minutes_is_understood(tmp_path):
    path = tmp_path / "sluice.yaml"
    path.write_text(BASE)
    said = sluice("check", "--config", str(path), environment={"ACCESS_TOKEN_EXPIRE_MINUTES": "15"})
    assert said.returncode == 0 and "ACCESS_TOKEN_EXPIRE_MINUTES" in said.stdout + said.stderr, "what has no effect yet is said"


@pytest.mark.parametrize("environment,given,url", [
    ({"REDIS_HOST": "cache.internal"}, "", "redis://cache.internal:6379/0"),
    ({"REDIS_PORT": "7000"}, "", "redis://localhost:7000/0"),
    ({"REDIS_HOST": "cache.internal", "REDIS_PORT": "7000"}, "", "redis://cache.internal:7000/0"),
    ({"REDIS_HOST": "::1"}, "", "redis://[::1]:6379/0"),
    ({"REDIS_HOST": "cache.internal"}, "store: {url: \"rediss://old:6380/3\"}\n", "rediss://cache.internal:6380/3"),
    ({"REDIS_PORT": "7000"}, "store: {url: \"redis://old:6380/3\"}\n", "redis://old:7000/3"),
], ids=str)
def test_redis_host_and_port_are_the_store(show, environment, given, url):
    configuration, sources = show(BASE + given, **environment)
    assert configuration["store"]["url"] == url and "environment REDIS_" in sources["store.url"]


def test_a_service_url_is_the_instance_of_its_service(start, backend, show):
    other = backend(lambda request, connection: reply(200, b"other"))
    one, server = start(USERS_SERVICE_URL=other.url)
    assert one.request("GET", "/").body == b"other" and server.heads == []
    shown = one.admin("GET", "/config").json()
    assert shown["sources"]["services.users.instances[0].url"] == "environment USERS_SERVICE_URL"
    configuration, _ = show(BASE, NEW_THING_SERVICE_URL="http://127.0.0.1:9")
    assert configuration["services"]["new_thing"]["instances"][0]["url"] == "http://127.0.0.1:9", "also of a new one"
    dashed = BASE + "services: {user-data: {instances: [{url: \"http://127.0.0.1:2\"}]}}\n"
    configuration, _ = show(dashed, USER_DATA_SERVICE_URL="http://127.0.0.1:9")
    assert list(configuration["services"]) == ["user-data"]
    assert configuration["services"]["user-data"]["instances"][0]["url"] == "http://127.0.0.1:9"


def test_a_service_url_that_could_mean_two_services_is_an_error_that_names_both(problems):
    text = BASE + "services: {user-data: {instances: [{url: \"http://127.0.0.1:2\"}]},\n           user_data: {instances: [{url: \"http://127.0.0.1:3\"}]}}\n"
    said = problems(text, USER_DATA_SERVICE_URL="http://127.0.0.1:9")
    assert "USER_DATA_SERVICE_URL" in said and "user-data" in said and "user_data" in said


@pytest.mark.parametrize("name,value", [
    ("RATE_LIMIT_PER_SECOND", "many"), ("RATE_LIMIT_PER_SECOND", "0"), ("RATE_LIMIT_PER_SECOND", "-1"),
    ("ACCESS_TOKEN_EXPIRE_MINUTES", "soon"),
    ("REDIS_PORT", "70000"), ("REDIS_PORT", "x"), ("REDIS_HOST", "a b"), ("REDIS_HOST", "a/b@c"), ("API_V1_PREFIX", "gate"),
    ("API_V1_PREFIX", "/*"),
    ("API_V1_PREFIX", "/{x}"), ("USERS_SERVICE_URL", "nonsense"), ("USERS_SERVICE_URL", "ftp://a"),
    ("USERS_SERVICE_URL", "http://user:pass@a")])
def test_a_bad_value_of_a_variable_is_refused_by_its_name(problems, name, value):
    text = BASE.replace("routes: []",
                        "routes:\n  - {name: a, match: {path: \"/api/v1/a\"}, respond: {}}") + "middlewares: {one: {rate_limit: {}}}\n"
    said = problems(text, **{name: value})
    assert name in said and "pass@" not in said, said


def test_an_empty_variable_counts_as_not_set(show):
    configuration, _ = show(BASE, **{name: "" for name in VARIABLES})
    plain, _ = show(BASE)
    assert configuration == plain


def test_a_variable_holds_over_a_reload(start):
    one, server = start(API_V1_PREFIX="/gate", DEBUG="1",
                        routes="routes:\n  - {name: one, match: {path: \"/api/v1/*\"}, service: users}\n")
    one.config_path.write_text(one.config_text + "  - {name: two, match: {path: \"/two\"}, respond: {}}\n")
    assert one.admin("POST", "/config/reload").json()["result"] == "applied"
    assert one.request("GET", "/gate/api/v1/x").status == 200 and one.request("GET", "/api/v1/x").status == 404
    assert one.admin("GET", "/log").json() == {"level": "debug"}
