/// Broken files about the keys of operations, the older names and the environment.
let brokenOperations: [BrokenFile] = [
    BrokenFile(
        name: "a PROXY header that nobody is trusted to send", hasListener: false,
        text: """
            listeners: [{name: web, address: "127.0.0.1:0", proxy_protocol: {}}]

            """,
        diagnostics: """
            t.yaml:1:65: error: listeners[0].proxy_protocol: nobody is trusted to send PROXY headers; set trusted here, \
            or server.trusted_proxies
            """),
    BrokenFile(
        name: "a PROXY header trusted from an empty list", hasListener: false,
        text: """
            listeners: [{name: web, address: "127.0.0.1:0", proxy_protocol: {trusted: []}}]
            server: {trusted_proxies: 10.0.0.0/8}

            """,
        diagnostics: """
            t.yaml:1:75: error: listeners[0].proxy_protocol.trusted: nobody is trusted to send PROXY headers; set \
            trusted here, or server.trusted_proxies
            """),
    BrokenFile(
        name: "a PROXY block that is no block", hasListener: false,
        text: """
            listeners: [{name: web, address: "127.0.0.1:0", proxy_protocol: 10.0.0.0/33}]

            """,
        diagnostics: """
            t.yaml:1:65: error: listeners[0].proxy_protocol: expected a mapping, not "10.0.0.0/33"
            """),
    BrokenFile(
        name: "a log output without a place",
        text: """
            server: {log_output: none}

            """,
        diagnostics: """
            t.yaml:2:22: error: server.log_output: expected stdout, stderr, journald, an absolute path or a collector \
            such as syslog+udp://host:514, not "none"
            """),
    BrokenFile(
        name: "a log output that is nearly a word",
        text: """
            access_log: {output: jounald}

            """,
        diagnostics: """
            t.yaml:2:22: error: access_log.output: expected stdout, stderr, journald, none, an absolute path or a \
            collector such as syslog+udp://host:514, not "jounald" (did you mean "journald"?)
            """),
    BrokenFile(
        name: "a syslog collector without a name",
        text: """
            server: {log_output: "syslog+udp://:514"}

            """,
        diagnostics: """
            t.yaml:2:22: error: server.log_output: needs a host name or an address behind syslog+udp://, and perhaps a \
            port
            """),
    BrokenFile(
        name: "a syslog socket without an absolute path",
        text: """
            access_log: {output: "syslog+unix:dev/log"}

            """,
        diagnostics: """
            t.yaml:2:22: error: access_log.output: a Unix socket needs an absolute path of at most 107 bytes
            """),
    BrokenFile(
        name: "a drain delay longer than an hour, and a pid file without a directory",
        text: """
            server: {drain_delay: 2h, pid_file: sluice.pid}

            """,
        diagnostics: """
            t.yaml:2:23: error: server.drain_delay: must be between 0s and 1h, not 2h
            t.yaml:2:37: error: server.pid_file: expected an absolute path, not "sluice.pid"
            """),
    BrokenFile(
        name: "log fields that are no names",
        text: """
            access_log: {request_headers: [User Agent], redact: [""]}

            """,
        diagnostics: """
            t.yaml:2:32: error: access_log.request_headers[0]: expected a token (letters, digits and !#$%&'*+-.^_`|~), \
            not "User Agent"
            t.yaml:2:54: error: access_log.redact[0]: is empty
            """),
    BrokenFile(
        name: "an admin host that is a pattern",
        text: """
            admin: {hosts: ["*.example.com", "gw:9901"]}

            """,
        diagnostics: """
            t.yaml:2:17: error: admin.hosts[0]: expected a host name such as gateway.example.com, not "*.example.com"
            t.yaml:2:34: error: admin.hosts[1]: a host is matched without its port (did you mean "gw"?)
            """),
    BrokenFile(
        name: "a short admin token on an address that others reach",
        text: """
            admin: {address: "0.0.0.0:9901", token: "short"}

            """,
        diagnostics: """
            t.yaml:2:41: error: admin.token: a token of 5 bytes can be guessed; at least 16 are needed, since \
            0.0.0.0:9901 can be reached by other machines
            """),
    BrokenFile(
        name: "a masked token",
        text: """
            admin: {token: "***"}

            """,
        diagnostics: """
            t.yaml:2:16: error: admin.token: *** stands for a secret that was not shown; write the secret itself
            """),
    BrokenFile(
        name: "origins that no browser sends",
        text: """
            middlewares:
              a: {cors: {allow_origins: ["https://a.example/", "https://a.example:443", "a.example", "https://*", "ftp//x"]}}

            """,
        diagnostics: """
            t.yaml:3:30: error: middlewares.a.cors.allow_origins[0]: an origin has no path (did you mean \
            "https://a.example"?)
            t.yaml:3:52: error: middlewares.a.cors.allow_origins[1]: browsers leave the port 443 out (did you mean \
            "https://a.example"?)
            t.yaml:3:77: error: middlewares.a.cors.allow_origins[2]: expected an origin such as https://example.com or \
            https://*.example.com, or *, or null, not "a.example" (did you mean "https://a.example"?)
            t.yaml:3:90: error: middlewares.a.cors.allow_origins[3]: expected an origin such as https://example.com or \
            https://*.example.com, or *, or null, not "https://*"
            t.yaml:3:103: error: middlewares.a.cors.allow_origins[4]: expected an origin such as https://example.com or \
            https://*.example.com, or *, or null, not "ftp//x"
            """),
    BrokenFile(
        name: "an access list that names nobody",
        text: """
            middlewares: {a: {ip_access: {}}, b: {ip_access: {allow: [], deny: []}}}

            """,
        diagnostics: """
            t.yaml:2:30: error: middlewares.a.ip_access: allow or deny must name somebody
            t.yaml:2:50: error: middlewares.b.ip_access: allow or deny must name somebody
            """),
    BrokenFile(
        name: "a custom middleware without a type",
        text: """
            middlewares: {a: {custom: {options: {x: [1]}}}}

            """,
        diagnostics: """
            t.yaml:2:27: error: middlewares.a.custom: the key "type" is missing
            t.yaml:2:41: error: middlewares.a.custom.options.x: expected text, file:/path or cred:name, not a list
            """),
    BrokenFile(
        name: "a custom option from a file that is not there",
        text: """
            middlewares: {a: {custom: {type: t, options: {key: "file:/nonexistent/key", n: "cred:x"}}}}

            """,
        diagnostics: """
            t.yaml:2:52: error: middlewares.a.custom.options.key: cannot read /nonexistent/key: No such file or directory
            t.yaml:2:80: error: middlewares.a.custom.options.n: cred: needs a name without / and a unit with \
            LoadCredential= (CREDENTIALS_DIRECTORY)
            """),
    BrokenFile(
        name: "an older name of the wrong kind", hasListener: false,
        text: """
            port: http
            workers: many
            request_timeout: -1
            log_level: LOUD

            """,
        diagnostics: """
            t.yaml:1:7: error: port: expected a whole number, not "http"
            t.yaml:2:10: error: workers: expected auto or a whole number, not "many"
            t.yaml:3:18: error: request_timeout: expected a duration such as 250ms, 5s, 1m, 1h or 1d, or off, not "-1"
            t.yaml:4:12: error: log_level: expected debug, DEBUG, info, INFO, warn, WARN, warning, WARNING, error, \
            ERROR, critical or CRITICAL, not "LOUD"
            """),
    BrokenFile(
        name: "an older host that is none", hasListener: false,
        text: """
            host: example.com
            port: 80

            """,
        diagnostics: """
            t.yaml:1:7: error: host: expected an IP address before the port, not "example.com"
            """),
    BrokenFile(
        name: "older names beside the newer ones",
        text: """
            port: 8000
            workers: 2
            log_level: INFO
            metrics_enabled: false
            log_requests: true
            jwt_secret: x
            api_key_header: X-Key
            rate_limit_per_minute: 10
            server: {workers: 4, log_level: warn}
            admin: {metrics: true}
            access_log: {enabled: false}
            middlewares: {jwt: {body_size: {max: 1}}, api_key: {body_size: {max: 1}}, rate_limit_per_minute: {body_size: {max: 1}}}

            """,
        diagnostics: """
            t.yaml:2:1: error: port: is an older name of listeners, which stands at t.yaml:1:1; one of them must go
            t.yaml:3:1: error: workers: is an older name of server.workers, which stands at t.yaml:10:19; one of them \
            must go
            t.yaml:4:1: error: log_level: is an older name of server.log_level, which stands at t.yaml:10:33; one of \
            them must go
            t.yaml:5:1: error: metrics_enabled: is an older name of admin.metrics, which stands at t.yaml:11:18; one of \
            them must go
            t.yaml:6:1: error: log_requests: is an older name of access_log.enabled, which stands at t.yaml:12:23; one \
            of them must go
            t.yaml:7:1: error: jwt_secret: is an older name of middlewares.jwt, which stands at t.yaml:13:20; one of \
            them must go
            t.yaml:8:1: error: api_key_header: is an older name of middlewares.api_key, which stands at t.yaml:13:52; \
            one of them must go
            t.yaml:9:1: error: rate_limit_per_minute: is an older name of middlewares.rate_limit_per_minute, which \
            stands at t.yaml:13:98; one of them must go
            """),
    BrokenFile(
        name: "a short older secret",
        text: """
            jwt_secret: changeme

            """,
        diagnostics: """
            t.yaml:2:13: warning: middlewares.jwt.jwt: jwt is accepted, but has no effect in this version
            t.yaml:2:13: error: middlewares.jwt.jwt.secret: a secret needs at least 32 bytes, this one has 8
            """),
    BrokenFile(
        name: "a secret of the environment that is too short",
        environment: ["SECRET_KEY": "changeme"],
        text: """
            routes: []

            """,
        diagnostics: """
            environment SECRET_KEY: warning: middlewares.jwt.jwt: jwt is accepted, but has no effect in this version
            environment SECRET_KEY: error: middlewares.jwt.jwt.secret: a secret needs at least 32 bytes, this one has 8
            """),
    BrokenFile(
        name: "a prefix of the environment that is no path",
        environment: ["API_V1_PREFIX": "gateway"],
        text: """
            routes: []

            """,
        diagnostics: """
            environment API_V1_PREFIX: error: expected a path that begins with /
            """),
    BrokenFile(
        name: "a prefix of the environment with a wildcard",
        environment: ["API_V1_PREFIX": "/gateway/*"],
        text: """
            routes: []

            """,
        diagnostics: """
            environment API_V1_PREFIX: error: a prefix has no * and no {name}
            """),
    BrokenFile(
        name: "a prefix that cannot be taken off",
        environment: ["API_V1_PREFIX": "/gw"],
        text: """
            services: {s: {instances: [{url: "http://h"}]}}
            routes: [{name: r, match: {path: "/api/v1/*"}, service: s, path: {strip_prefix: /api/v1/users}}]

            """,
        diagnostics: """
            environment API_V1_PREFIX: error: routes[0]: cannot be put before /api/v1/*, of which only a part begins \
            with its strip_prefix
            """),
    BrokenFile(
        name: "numbers of the environment that are none",
        environment: ["RATE_LIMIT_PER_SECOND": "ten", "ACCESS_TOKEN_EXPIRE_MINUTES": "0", "REDIS_PORT": "70000"],
        text: """
            routes: []

            """,
        diagnostics: """
            environment RATE_LIMIT_PER_SECOND: error: expected a whole number between 1 and 1000000000
            environment ACCESS_TOKEN_EXPIRE_MINUTES: error: expected a whole number between 1 and 525600
            environment REDIS_PORT: error: expected a whole number between 1 and 65535
            """),
    BrokenFile(
        name: "a Redis host that is none",
        environment: ["REDIS_HOST": "redis:6379"],
        text: """
            routes: []

            """,
        diagnostics: """
            environment REDIS_HOST: error: expected a host name or an address
            """),
    BrokenFile(
        name: "a service of the environment without a URL",
        environment: ["USERS_SERVICE_URL": "users:8080"],
        text: """
            services: {users: {instances: [{url: "http://h"}]}}

            """,
        diagnostics: """
            environment USERS_SERVICE_URL: error: services.users.instances[0].url: expected a URL such as \
            http://10.0.0.5:8080 or unix:/run/app.sock, which "${USERS_SERVICE_URL}" is not
            """),
    BrokenFile(
        name: "a service of the environment that could be two",
        environment: ["USER_API_SERVICE_URL": "http://n"],
        text: """
            services: {user-api: {instances: [{url: "http://h"}]}, user_api: {instances: [{url: "http://h"}]}}

            """,
        diagnostics: """
            environment USER_API_SERVICE_URL: error: could mean the services user-api and user_api
            """),
    BrokenFile(
        name: "a debug level beside a broken file",
        environment: ["DEBUG": "1"],
        text: """
            server: {log_level: loud, workers: 0}

            """,
        diagnostics: """
            t.yaml:2:36: error: server.workers: must be between 1 and 1024, not 0
            """),
]
