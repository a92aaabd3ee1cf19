/// More files that are wrong: what becomes of a service whose instances fail.
let brokenResilience: [BrokenFile] = [
    BrokenFile(
        name: "consistent_hash without something to look at, or with the wrong name for it",
        text: """
            services:
              a: {instances: [{url: "http://h"}], load_balancer: {algorithm: consistent_hash}}
              b: {instances: [{url: "http://h"}], load_balancer: {algorithm: consistent_hash, hash_on: header}}
              c: {instances: [{url: "http://h"}], load_balancer: {algorithm: consistent_hash, hash_on: path, hash_name: x}}
              d: {instances: [{url: "http://h"}], load_balancer: {algorithm: consistent_hash, hash_on: cookie, hash_name: "a b"}}
              e: {instances: [{url: "http://h"}], load_balancer: {algorithm: consistent_hash, hash_on: ip, bound: 0.9}}
              f: {instances: [{url: "http://h"}], load_balancer: {algorithm: sticky, bound: 1.0005, degraded_weight: 1.5}}

            """,
        diagnostics: """
            t.yaml:3:54: error: services.a.load_balancer: consistent_hash needs hash_on: header, cookie, query or path
            t.yaml:4:92: error: services.b.load_balancer.hash_on: hash_on header needs hash_name
            t.yaml:5:98: error: services.c.load_balancer.hash_name: hash_on path has no name
            t.yaml:6:111: error: services.d.load_balancer.hash_name: "a b" is not the name of a cookie
            t.yaml:7:92: error: services.e.load_balancer.hash_on: expected header, cookie, query, path or user, not "ip"
            t.yaml:7:103: error: services.e.load_balancer.bound: must be between 1 and 100, not 0.9
            t.yaml:8:66: error: services.f.load_balancer.algorithm: expected round_robin, weighted, least_conn, ip_hash, \
            p2c_ewma, consistent_hash or random, not "sticky"
            t.yaml:8:81: error: services.f.load_balancer.bound: is finer than 0.001: 1.0005
            t.yaml:8:106: error: services.f.load_balancer.degraded_weight: must be between 0% and 100%, not 1.5
            """),
    BrokenFile(
        name: "keys for consistent_hash beside another algorithm",
        text: """
            services:
              a: {instances: [{url: "http://h"}], load_balancer: {hash_on: user, hash_name: x, bound: 125%, slow_start: 0}}

            """,
        diagnostics: """
            t.yaml:3:55: warning: services.a.load_balancer.hash_on: has no effect without the algorithm consistent_hash
            t.yaml:3:70: warning: services.a.load_balancer.hash_name: has no effect without the algorithm consistent_hash
            t.yaml:3:84: warning: services.a.load_balancer.bound: has no effect without the algorithm consistent_hash
            t.yaml:3:109: error: services.a.load_balancer.slow_start: must be between 1s and 1d, or off, not 0
            """),
    BrokenFile(
        name: "a sticky cookie that browsers or others would not keep",
        text: """
            services:
              a: {instances: [{url: "http://h"}], load_balancer: {sticky: {secret: short}}}
              b: {instances: [{url: "http://h"}], load_balancer: {sticky: {cookie: "a b", max_age: 1500ms, path: "/a;b"}}}
              c: {instances: [{url: "http://h"}], load_balancer: {sticky: {cookie: __Host-s, path: /a, secure: true}}}
              d: {instances: [{url: "http://h"}], load_balancer: {sticky: {cookie: __Secure-s, max_age: 1500ms, path: "/a;b"}}}
              e: {instances: [{url: "http://h"}], load_balancer: {sticky: {cookie: s, same_site: none, secure: false, path: a}}}

            """,
        diagnostics: """
            t.yaml:3:63: error: services.a.load_balancer.sticky: the key "cookie" is missing
            t.yaml:3:72: error: services.a.load_balancer.sticky.secret: a secret needs at least 16 bytes, this one has 5
            t.yaml:4:72: error: services.b.load_balancer.sticky.cookie: expected a token (letters, digits and \
            !#$%&'*+-.^_`|~), not "a b"
            t.yaml:5:72: error: services.c.load_balancer.sticky.cookie: browsers refuse a cookie of the name __Host-s \
            without secure: true and path: /
            t.yaml:6:72: error: services.d.load_balancer.sticky.cookie: browsers refuse a cookie of the name __Secure-s \
            without secure: true
            t.yaml:6:93: error: services.d.load_balancer.sticky.max_age: must be whole seconds, as Max-Age has them (RFC \
            6265 §4.1.1)
            t.yaml:6:107: error: services.d.load_balancer.sticky.path: the path of a cookie is ASCII without ; (RFC 6265 \
            §4.1.1)
            t.yaml:7:100: warning: services.e.load_balancer.sticky.secure: same_site none needs secure, which browsers \
            insist on: it is true all the same
            t.yaml:7:113: error: services.e.load_balancer.sticky.path: expected a path that begins with /, not "a" (did you \
            mean "/a"?)
            """),
    BrokenFile(
        name: "a health check with times that do not go together and an answer that cannot be",
        text: """
            services:
              a: {instances: [{url: "http://h"}], health_check: {interval: 1s, timeout: 5s, fast_interval: 2s, fast_timeout: 6s}}
              b: {instances: [{url: "http://h"}], health_check: {path: health, expect_status: 100, expect_body: "", expect_header: "a b"}}
              c: {instances: [{url: "http://h"}], health_check: {path: "/h?a b", backoff_max: 10m, rise: 0, degraded_error_rate: 0%}}
              d: {instances: [{url: "http://h"}], health_check: {type: tcp, path: /h, host: a, expect_header: ok, timeout: 60s}}
              e: {instances: [{url: "http://h"}], health_check: {type: udp, path: "/h#x", expect_header: ": x"}}

            """,
        diagnostics: """
            t.yaml:3:77: warning: services.a.health_check.timeout: is longer than interval (1s): a check that takes so long \
            delays the next; lower it, or raise interval
            t.yaml:3:96: warning: services.a.health_check.fast_interval: is longer than interval (1s), which counts instead
            t.yaml:3:114: warning: services.a.health_check.fast_timeout: is longer than timeout (5s), which counts instead
            t.yaml:4:60: error: services.b.health_check.path: expected a path such as /health or /health?full=1, not \
            "health" (did you mean "/health"?)
            t.yaml:4:83: error: services.b.health_check.expect_status: must be between 200 and 599, not 100
            t.yaml:4:101: error: services.b.health_check.expect_body: is empty; left out, the body is not looked at
            t.yaml:4:120: error: services.b.health_check.expect_header: expected a header name, or "Name: text"
            t.yaml:5:60: error: services.c.health_check.path: has a blank, a # or a character beyond ASCII; write it \
            percent-encoded
            t.yaml:5:83: error: services.c.health_check.backoff_max: must be between 1s and 5m, not 10m
            t.yaml:5:94: error: services.c.health_check.rise: must be between 1 and 100, not 0
            t.yaml:5:118: error: services.c.health_check.degraded_error_rate: must be between 0.1% and 100%, not 0%
            t.yaml:6:65: warning: services.d.health_check.path: has no effect on a check of type tcp, which asks for nothing
            t.yaml:6:75: warning: services.d.health_check.host: has no effect on a check of type tcp, which asks for nothing
            t.yaml:6:84: warning: services.d.health_check.expect_header: has no effect on a check of type tcp, which asks \
            for nothing
            t.yaml:6:112: warning: services.d.health_check.timeout: is longer than interval (30s): a check that takes so \
            long delays the next; lower it, or raise interval
            t.yaml:7:60: error: services.e.health_check.type: expected http, tcp or grpc, not "udp"
            t.yaml:7:71: error: services.e.health_check.path: a path has no fragment (#)
            t.yaml:7:94: error: services.e.health_check.expect_header: expected a header name, or "Name: text"
            """),
    BrokenFile(
        name: "a breaker with numbers that do not go together",
        text: """
            services:
              a: {instances: [{url: "http://h"}], circuit_breaker: {open_timeout: 2m, open_timeout_max: 1m, half_open_max: 0}}
              b: {instances: [{url: "http://h"}], circuit_breaker: {open_timeout_max: 30s, slow_call_rate_threshold: 50%}}
              c: {instances: [{url: "http://h"}], circuit_breaker: {error_rate_threshold: 0, window: 100ms, probe_timeout: 5s}}
              d: {instances: [{url: "http://h"}], circuit_breaker: {open_timeout_max: 3m}}
            routes:
              - {name: r, match: {path: /}, service: d, circuit_breaker: {open_timeout: 4m}}
              - {name: q, match: {path: /q}, service: d, circuit_breaker: {open_timeout_max: 50s}}
              - {name: p, match: {path: /p}, service: d, circuit_breaker: {probe_timeout: 20s}}

            """,
        diagnostics: """
            t.yaml:3:93: error: services.a.circuit_breaker.open_timeout_max: is shorter than open_timeout (2m)
            t.yaml:3:112: error: services.a.circuit_breaker.half_open_max: must be between 1 and 1000, not 0
            t.yaml:4:75: error: services.b.circuit_breaker.open_timeout_max: is shorter than open_timeout (1m)
            t.yaml:4:80: warning: services.b.circuit_breaker.slow_call_rate_threshold: has no effect without \
            slow_call_duration
            t.yaml:5:79: error: services.c.circuit_breaker.error_rate_threshold: must be between 0.1% and 100%, not 0
            t.yaml:5:90: error: services.c.circuit_breaker.window: must be between 1s and 1h, not 100ms
            t.yaml:5:112: warning: services.c.circuit_breaker.probe_timeout: is shorter than timeouts.response: a probe \
            that is answered later counts as a failure; raise it, or lower the other
            t.yaml:8:77: error: routes[0].circuit_breaker.open_timeout: is longer than open_timeout_max (3m)
            t.yaml:9:82: error: routes[1].circuit_breaker.open_timeout_max: is shorter than open_timeout (1m)
            t.yaml:10:79: warning: routes[2].circuit_breaker.probe_timeout: is shorter than timeouts.response: a probe that \
            is answered later counts as a failure; raise it, or lower the other
            """),
    BrokenFile(
        name: "retries, ejections and limits that cannot be",
        text: """
            services:
              a: {instances: [{url: "http://h"}], retry: {attempts: 11, retry_on: [5XX, 200, 503], backoff: 1s, backoff_max: 500ms}}
              b: {instances: [{url: "http://h"}], retry: {budget: 0.0005, retry_on: always, per_try_timeout: 0}}
              c: {instances: [{url: "http://h"}], outlier_detection: {max_ejected: 12.5%, ejection_time: 10m, ejection_time_max: 5m}}
              d: {instances: [{url: "http://h"}], adaptive_concurrency: {min: 10, max: 5}}
              e: {instances: [{url: "http://h"}], adaptive_concurrency: {start: 2, tolerance: 200%}}

            """,
        diagnostics: """
            t.yaml:3:57: error: services.a.retry.attempts: must be between 0 and 10, not 11
            t.yaml:3:72: error: services.a.retry.retry_on[0]: expected connect_failure, refused_stream, stale_connection, \
            5xx, gateway_error, timeout, 429 or a number between 400 and 599, not "5XX" (did you mean "5xx"?)
            t.yaml:3:77: error: services.a.retry.retry_on[1]: expected connect_failure, refused_stream, stale_connection, \
            5xx, gateway_error, timeout, 429 or a number between 400 and 599, not "200"
            t.yaml:3:114: error: services.a.retry.backoff_max: is shorter than backoff (1s)
            t.yaml:4:55: error: services.b.retry.budget: is finer than 0.1%: 0.0005
            t.yaml:4:73: error: services.b.retry.retry_on: expected connect_failure, refused_stream, stale_connection, 5xx, \
            gateway_error, timeout, 429 or a number between 400 and 599, not "always"
            t.yaml:4:98: error: services.b.retry.per_try_timeout: must be between 1ms and 30d, or off, not 0
            t.yaml:5:72: error: services.c.outlier_detection.max_ejected: is finer than 1%: 12.5%
            t.yaml:5:118: error: services.c.outlier_detection.ejection_time_max: is shorter than ejection_time (10m)
            t.yaml:6:76: error: services.d.adaptive_concurrency.max: is below min (10)
            t.yaml:7:69: error: services.e.adaptive_concurrency.start: must be between min and max
            t.yaml:7:83: error: services.e.adaptive_concurrency.tolerance: must be between 0% and 100%, not 200%
            """),
    BrokenFile(
        name: "fallbacks that lead nowhere, or say two things",
        text: """
            services:
              a: {instances: [{url: "http://h"}], fallback: {service: spar}}
              b: {instances: [{url: "http://h"}], fallback: {service: spare, status: 503}}
              c: {instances: [{url: "http://h"}], fallback: {}}
              d: {instances: [{url: "http://h"}], fallback: {enabled: false, service: nobody}}
              e: {instances: [{url: "http://h"}], fallback: {status: 204, body: x, headers: {Content-Length: "1"}}}
              f: {instances: [{url: "http://h"}], fallback: {servce: a}}
              spare: {instances: [{url: "http://h"}]}

            """,
        diagnostics: """
            t.yaml:3:59: error: services.a.fallback.service: there is no service "spar" (did you mean "spare"?)
            t.yaml:4:66: error: services.b.fallback.status: cannot stand beside "service"
            t.yaml:5:49: error: services.c.fallback: one of service, status, headers, body or content_type is needed
            t.yaml:6:75: error: services.d.fallback.service: there is no service "nobody"
            t.yaml:7:69: error: services.e.fallback.body: an answer with status 204 has no body (RFC 9110 §15)
            t.yaml:7:82: error: services.e.fallback.headers.Content-Length: Content-Length frames the message and is \
            managed by the gateway
            t.yaml:8:50: error: services.f.fallback.servce: unknown key (did you mean "service"?)
            """),
    BrokenFile(
        name: "fallbacks that lead back",
        text: """
            services:
              self: {instances: [{url: "http://h"}], fallback: {service: self}}
              before: {instances: [{url: "http://h"}], fallback: {service: b}}
              a: {instances: [{url: "http://h"}], fallback: {service: b}}
              b: {instances: [{url: "http://h"}], fallback: {service: c}}
              c: {enabled: false, instances: [{url: "http://h"}], fallback: {service: a}}
              free: {instances: [{url: "http://h"}]}
              next: {instances: [{url: "http://h"}], fallback: {service: last}}
              last: {instances: [{url: "http://h"}], fallback: {service: free}}
            routes:
              - {name: r, match: {path: /}, service: free, fallback: {service: free}}
              - {name: q, match: {path: /q}, service: free, fallback: {service: next}}
              - {name: p, match: {path: /p}, service: free, fallback: {service: a}}
              - {name: o, match: {path: /o}, service: next, fallback: {service: last}}

            """,
        diagnostics: """
            t.yaml:3:62: error: services.self.fallback.service: a service cannot be its own fallback
            t.yaml:5:59: error: services.a.fallback.service: these fallbacks lead back: a -> b -> c -> a
            t.yaml:6:59: warning: services.b.fallback.service: the service "c" is switched off: there is no fallback
            t.yaml:12:68: error: routes[0].fallback.service: a service cannot be its own fallback
            t.yaml:13:69: error: routes[1].fallback.service: these fallbacks lead back: free -> next -> last -> free
            """),
    BrokenFile(
        name: "what a loop is called when a name of it is from the environment", environment: ["V": "s3cr3t"],
        text: """
            services:
              a: {instances: [{url: "http://h"}], fallback: {service: "${V}"}}
              s3cr3t: {instances: [{url: "http://h"}], fallback: {service: a}}
              b: {instances: [{url: "http://h"}], fallback: {service: "${V:-x}y"}}

            """,
        diagnostics: """
            t.yaml:3:59: error: services.a.fallback.service: these fallbacks lead back: a -> ${V} -> a
            t.yaml:5:59: error: services.b.fallback.service: there is no service "${V:-x}y"
            """),
    BrokenFile(
        name: "what is for a backend on a route without one, and a priority that there is not",
        text: """
            services: {s: {instances: [{url: "http://h"}]}}
            routes:
              - {name: r, match: {path: /}, health: true, priority: bulk, circuit_breaker: {}, fallback: {service: nobody}}
              - {name: q, match: {path: /q}, service: s, priority: high, circuit_breaker: {enabled: false}, fallback: {enabled: false, status: 503}}

            """,
        diagnostics: """
            t.yaml:4:47: warning: routes[0].priority: has no effect on a route without a service
            t.yaml:4:63: warning: routes[0].circuit_breaker: has no effect on a route without a service
            t.yaml:4:84: warning: routes[0].fallback: has no effect on a route without a service
            t.yaml:4:104: error: routes[0].fallback.service: there is no service "nobody"
            t.yaml:5:56: error: routes[1].priority: expected critical, default or bulk, not "high"
            """),
]
