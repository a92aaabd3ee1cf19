import Testing

/// Files that are wrong, with what is said of each, word for word.
struct BrokenFile: Sendable, CustomTestStringConvertible {
    var name: String
    /// Whether a line with a good listener stands before the text, so that only what the file is about is missing or wrong.
    var hasListener = true
    var environment: [String: String] = [:]
    var text: String
    /// One line for each diagnostic.
    var diagnostics: String

    var testDescription: String { name }

    var whole: String { (hasListener ? "listeners: [{name: web, address: \"127.0.0.1:0\"}]\n" : "") + text }
}

let brokenFiles: [BrokenFile] = [
    BrokenFile(
        name: "an empty file", hasListener: false,
        text: "",
        diagnostics: """
            t.yaml:1:1: error: the file is empty
            """),
    BrokenFile(
        name: "a file with only a comment", hasListener: false,
        text: """
            # nothing

            """,
        diagnostics: """
            t.yaml:1:1: error: the file is empty
            """),
    BrokenFile(
        name: "a tab as indentation",
        text: """
            server:
            \tworkers: 2

            """,
        diagnostics: """
            t.yaml:3:1: error: a tab; YAML is indented with spaces
            """),
    BrokenFile(
        name: "an unclosed bracket",
        text: """
            routes: [{name: a

            """,
        diagnostics: """
            t.yaml:3:1: error: did not find expected ',' or '}' (while parsing a flow mapping that began in line 2)
            """),
    BrokenFile(
        name: "an unclosed quote",
        text: """
            server: {via: "abc}

            """,
        diagnostics: """
            t.yaml:3:1: error: found unexpected end of stream (while scanning a quoted scalar that began in line 2)
            """),
    BrokenFile(
        name: "a mapping value in the wrong place",
        text: """
            server: workers: 2

            """,
        diagnostics: """
            t.yaml:2:16: error: mapping values are not allowed in this context
            """),
    BrokenFile(
        name: "a key twice",
        text: """
            server: {workers: 1}
            routes: []
            server: {workers: 2}

            """,
        diagnostics: """
            t.yaml:4:1: error: the key "server" stands twice, first in line 2
            """),
    BrokenFile(
        name: "a service twice",
        text: """
            services:
              a: {instances: [{url: "http://h:1"}]}
              a: {instances: [{url: "http://h:2"}]}

            """,
        diagnostics: """
            t.yaml:4:3: error: the key "a" stands twice, first in line 3
            """),
    BrokenFile(
        name: "two documents",
        text: """
            routes: []
            ---
            routes: []

            """,
        diagnostics: """
            t.yaml:3:1: error: a second document; a file holds one
            """),
    BrokenFile(
        name: "an alias without an anchor",
        text: """
            server: *nothing

            """,
        diagnostics: """
            t.yaml:2:9: error: there is no anchor &nothing before this alias
            """),
    BrokenFile(
        name: "an alias inside what it names",
        text: """
            services: &s
              a: *s

            """,
        diagnostics: """
            t.yaml:3:6: error: the alias *s stands inside what it names
            """),
    BrokenFile(
        name: "an unknown tag",
        text: """
            server: {workers: !!python/int 1}

            """,
        diagnostics: """
            t.yaml:2:19: error: the tag tag:yaml.org,2002:python/int is not supported
            """),
    BrokenFile(
        name: "a list as a key",
        text: """
            server: {[a, b]: 1}

            """,
        diagnostics: """
            t.yaml:2:10: error: a key must be text
            """),
    BrokenFile(
        name: "a merge of no mapping",
        text: """
            server:
              <<: [1]

            """,
        diagnostics: """
            t.yaml:3:8: error: << needs mappings
            """),
    BrokenFile(
        name: "a root that is a list", hasListener: false,
        text: """
            - a
            - b

            """,
        diagnostics: """
            t.yaml:1:1: error: expected a mapping, not a list
            """),
    BrokenFile(
        name: "a root that is text", hasListener: false,
        text: """
            just text

            """,
        diagnostics: """
            t.yaml:1:1: error: expected a mapping, not "just text"
            """),
    BrokenFile(
        name: "an unknown key at the top",
        text: """
            sevices: {}

            """,
        diagnostics: """
            t.yaml:2:1: error: sevices: unknown key (did you mean "services"?)
            """),
    BrokenFile(
        name: "an unknown key with nothing near",
        text: """
            banana: 1

            """,
        diagnostics: """
            t.yaml:2:1: error: banana: unknown key; known here: server, listeners, admin, store, limits, access_log, \
            middlewares, services, routes
            """),
    BrokenFile(
        name: "an unknown key below",
        text: """
            routes:
              - name: a
                match: {paht: /x}
                health: true

            """,
        diagnostics: """
            t.yaml:4:13: error: routes[0].match.paht: unknown key (did you mean "path"?)
            """),
    BrokenFile(
        name: "a camel-case key",
        text: """
            limits: {requestBody: 1MiB}

            """,
        diagnostics: """
            t.yaml:2:10: error: limits.requestBody: unknown key (did you mean "request_body"?)
            """),
    BrokenFile(
        name: "a key with dashes",
        text: """
            access-log: {format: json}

            """,
        diagnostics: """
            t.yaml:2:1: error: access-log: unknown key (did you mean "access_log"?)
            """),
    BrokenFile(
        name: "no listener at all", hasListener: false,
        text: """
            routes: []

            """,
        diagnostics: """
            t.yaml:1:1: error: the key "listeners" is missing
            """),
    BrokenFile(
        name: "an empty list of listeners", hasListener: false,
        text: """
            listeners: []

            """,
        diagnostics: """
            t.yaml:1:12: error: listeners: needs at least one entry
            """),
    BrokenFile(
        name: "only a listener that is off", hasListener: false,
        text: """
            listeners: [{name: a, address: "127.0.0.1:1", enabled: false}]

            """,
        diagnostics: """
            t.yaml:1:12: error: listeners: needs at least one listener that is enabled
            """),
    BrokenFile(
        name: "a listener without an address", hasListener: false,
        text: """
            listeners: [{name: a}]

            """,
        diagnostics: """
            t.yaml:1:13: error: listeners[0]: the key "address" is missing
            """),
    BrokenFile(
        name: "a key without a value",
        text: """
            services:

            """,
        diagnostics: """
            t.yaml:2:10: error: services: has no value; expected a mapping
            """),
    BrokenFile(
        name: "a list where a mapping belongs",
        text: """
            server: [1, 2]

            """,
        diagnostics: """
            t.yaml:2:9: error: server: expected a mapping, not a list
            """),
    BrokenFile(
        name: "text where a list belongs",
        text: """
            routes: all

            """,
        diagnostics: """
            t.yaml:2:9: error: routes: expected a list, not "all"
            """),
    BrokenFile(
        name: "a mapping where a number belongs",
        text: """
            server: {workers: {n: 2}}

            """,
        diagnostics: """
            t.yaml:2:19: error: server.workers: expected auto or a whole number, not a mapping
            """),
    BrokenFile(
        name: "words where numbers belong",
        text: """
            server: {workers: many}
            limits: {request_headers: lots}

            """,
        diagnostics: """
            t.yaml:2:19: error: server.workers: expected auto or a whole number, not "many"
            t.yaml:3:27: error: limits.request_headers: expected a whole number, not "lots"
            """),
    BrokenFile(
        name: "a number out of range",
        text: """
            server: {workers: 0}

            """,
        diagnostics: """
            t.yaml:2:19: error: server.workers: must be between 1 and 1024, not 0
            """),
    BrokenFile(
        name: "a negative number",
        text: """
            limits: {connections_per_client: -5}

            """,
        diagnostics: """
            t.yaml:2:34: error: limits.connections_per_client: must be between 1 and 10000000, not -5
            """),
    BrokenFile(
        name: "a number beyond all integers",
        text: """
            limits: {requests_per_connection: 99999999999999999999999999}

            """,
        diagnostics: """
            t.yaml:2:35: error: limits.requests_per_connection: must be between 1 and 1000000000, not \
            99999999999999999999999999
            """),
    BrokenFile(
        name: "durations that are none",
        text: """
            server: {drain_timeout: soon}
            limits: {header_timeout: 5 s, keepalive_timeout: 1.5s, write_timeout: 10min}

            """,
        diagnostics: """
            t.yaml:2:25: error: server.drain_timeout: expected a duration such as 250ms, 5s, 1m, 1h or 1d, not "soon"
            t.yaml:3:26: error: limits.header_timeout: expected a duration such as 250ms, 5s, 1m, 1h or 1d, not "5 s"
            t.yaml:3:50: error: limits.keepalive_timeout: expected a duration such as 250ms, 5s, 1m, 1h or 1d, not "1.5s"
            t.yaml:3:71: error: limits.write_timeout: expected a duration such as 250ms, 5s, 1m, 1h or 1d, not "10min"
            """),
    BrokenFile(
        name: "durations out of range",
        text: """
            limits: {header_timeout: 0, keepalive_timeout: 400d, body_idle_timeout: off}

            """,
        diagnostics: """
            t.yaml:2:26: error: limits.header_timeout: must be between 1ms and 30d, not 0
            t.yaml:2:48: error: limits.keepalive_timeout: must be between 1ms and 30d, not 400d
            t.yaml:2:73: error: limits.body_idle_timeout: expected a duration such as 250ms, 5s, 1m, 1h or 1d, not "off"
            """),
    BrokenFile(
        name: "sizes that are none",
        text: """
            limits: {request_body: 10MB, request_target_bytes: big, request_header_bytes: 1KiB5}

            """,
        diagnostics: """
            t.yaml:2:24: error: limits.request_body: the unit MB is unclear; sizes are counted in powers of 1024 (did you \
            mean "10MiB"?)
            t.yaml:2:52: error: limits.request_target_bytes: expected a size such as 512, 16KiB or 10MiB, not "big"
            t.yaml:2:79: error: limits.request_header_bytes: expected a size such as 512, 16KiB or 10MiB, not "1KiB5"
            """),
    BrokenFile(
        name: "sizes out of range",
        text: """
            limits: {request_target_bytes: 0, request_field_bytes: 1MiB}

            """,
        diagnostics: """
            t.yaml:2:32: error: limits.request_target_bytes: must be between 64 and 1MiB, not 0
            t.yaml:2:56: error: limits.request_field_bytes: must be between 256 and 65535, not 1MiB
            """),
    BrokenFile(
        name: "a word that is none",
        text: """
            server: {log_level: warning}

            """,
        diagnostics: """
            t.yaml:2:21: error: server.log_level: expected debug, info, warn or error, not "warning" (did you mean "warn"?)
            """),
    BrokenFile(
        name: "a truth that is none",
        text: """
            access_log: {enabled: yes}

            """,
        diagnostics: """
            t.yaml:2:23: error: access_log.enabled: expected true or false, not "yes" (did you mean "true"?)
            """),
    BrokenFile(
        name: "addresses that are none", hasListener: false,
        text: """
            listeners:
              - {name: a, address: 8000}
              - {name: b, address: "*:8000"}
              - {name: c, address: "::1:80"}
              - {name: d, address: "example.com:80"}
              - {name: e, address: "1.2.3.4:99999"}
              - {name: f, address: "unix:relative"}

            """,
        diagnostics: """
            t.yaml:2:24: error: listeners[0].address: expected an address such as 0.0.0.0:8000, [::]:8000 or \
            unix:/run/x.sock, not "8000" (did you mean "0.0.0.0:8000"?)
            t.yaml:3:24: error: listeners[1].address: expected an IP address before the port, not "*" (did you mean \
            "0.0.0.0:8000"?)
            t.yaml:4:24: error: listeners[2].address: expected an address such as 0.0.0.0:8000, [::]:8000 or \
            unix:/run/x.sock, not "::1:80"
            t.yaml:5:24: error: listeners[3].address: expected an IP address before the port, not "example.com"
            t.yaml:6:24: error: listeners[4].address: expected an address such as 0.0.0.0:8000, [::]:8000 or \
            unix:/run/x.sock, not "1.2.3.4:99999"
            t.yaml:7:24: error: listeners[5].address: a Unix socket needs an absolute path of at most 107 bytes
            """),
    BrokenFile(
        name: "blocks that are none",
        text: """
            server: {trusted_proxies: [10.0.0.1/8, 10.0.0.0/33, localhost]}

            """,
        diagnostics: """
            t.yaml:2:28: error: server.trusted_proxies[0]: has bits set behind the prefix (did you mean "10.0.0.0/8"?)
            t.yaml:2:40: error: server.trusted_proxies[1]: expected an address or a block such as 10.0.0.0/8, not \
            "10.0.0.0/33"
            t.yaml:2:53: error: server.trusted_proxies[2]: expected an address or a block such as 10.0.0.0/8, not \
            "localhost"
            """),
    BrokenFile(
        name: "a via that is no token",
        text: """
            server: {via: "my gateway"}

            """,
        diagnostics: """
            t.yaml:2:15: error: server.via: expected a token (letters, digits and !#$%&'*+-.^_`|~), not "my gateway"
            """),
    BrokenFile(
        name: "instance URLs that are none",
        text: """
            services:
              a:
                instances:
                  - url: "10.0.0.5:8080"
                  - url: "http://user:secret@h:80"
                  - url: "http://h:80/path"
                  - url: "ftp://h"
                  - url: "http://h:0"
                  - url: "http://1.2.3"
                  - url: "http://ex_ample..com"
                  - url: "http://[::1"

            """,
        diagnostics: """
            t.yaml:5:14: error: services.a.instances[0].url: expected a URL such as http://10.0.0.5:8080 or \
            unix:/run/app.sock, not "10.0.0.5:8080" (did you mean "http://10.0.0.5:8080"?)
            t.yaml:6:14: error: services.a.instances[1].url: a user name or password in a URL is not supported; set an \
            Authorization header instead
            t.yaml:7:14: error: services.a.instances[2].url: must end behind the port; a path is put before with the route's \
            path.add_prefix
            t.yaml:8:14: error: services.a.instances[3].url: expected a URL such as http://10.0.0.5:8080 or \
            unix:/run/app.sock, not "ftp://h"
            t.yaml:9:14: error: services.a.instances[4].url: expected a URL such as http://10.0.0.5:8080 or \
            unix:/run/app.sock, not "http://h:0"
            t.yaml:10:14: error: services.a.instances[5].url: "1.2.3" is neither a host name nor an IP address
            t.yaml:11:14: error: services.a.instances[6].url: "ex_ample..com" is neither a host name nor an IP address
            t.yaml:12:14: error: services.a.instances[7].url: expected a URL such as http://10.0.0.5:8080 or \
            unix:/run/app.sock, not "http://[::1"
            """),
    BrokenFile(
        name: "paths that are none",
        text: """
            routes:
              - {name: a, match: {path: users}, health: true}
              - {name: b, match: {path: "/a*"}, health: true}
              - {name: c, match: {path: "/a/*/b"}, health: true}
              - {name: d, match: {path: "/a?b=c"}, health: true}
              - {name: e, match: {path: "/{id}/{id}"}, health: true}
              - {name: f, match: {path: "/x{id}"}, health: true}
              - {name: g, match: {path: "/a/../b"}, health: true}
              - {name: h, match: {path: "/%zz"}, health: true}
              - {name: i, match: {path: "/a b"}, health: true}

            """,
        diagnostics: """
            t.yaml:3:29: error: routes[0].match.path: expected a path such as /users, /users/* or /users/{id}, not "users" \
            (did you mean "/users"?)
            t.yaml:4:29: error: routes[1].match.path: * must be a whole segment at the end, as in /users/*; one segment is \
            written {name}
            t.yaml:5:29: error: routes[2].match.path: /* can stand only at the end
            t.yaml:6:29: error: routes[3].match.path: a path has no query; match it with match.query
            t.yaml:7:29: error: routes[4].match.path: {id} stands twice
            t.yaml:8:29: error: routes[5].match.path: {name} must be a whole segment; a name has letters, digits and _
            t.yaml:9:29: error: routes[6].match.path: ".." segments are resolved before the match
            t.yaml:10:29: error: routes[7].match.path: "%" must be followed by two hexadecimal digits
            t.yaml:11:29: error: routes[8].match.path: has a blank or a control character; write it percent-encoded
            """),
    BrokenFile(
        name: "hosts that are none",
        text: """
            routes:
              - name: a
                match: {path: /, host: ["https://a.com", "a.com:80", "a.*.com", "a..com", "a.com."]}
                health: true

            """,
        diagnostics: """
            t.yaml:4:29: error: routes[0].match.host[0]: a host has no scheme and no path
            t.yaml:4:46: error: routes[0].match.host[1]: a host is matched without its port (did you mean "a.com"?)
            t.yaml:4:58: error: routes[0].match.host[2]: * can stand only for whole labels in front, as in *.example.com
            t.yaml:4:69: error: routes[0].match.host[3]: expected a host name such as example.com or *.example.com, not \
            "a..com"
            t.yaml:4:79: error: routes[0].match.host[4]: a host is written without a dot at its end (did you mean "a.com"?)
            """),
    BrokenFile(
        name: "methods that are none",
        text: """
            routes:
              - {name: a, match: {path: /, methods: [get, CONNECT, "G T"]}, health: true}

            """,
        diagnostics: """
            t.yaml:3:42: error: routes[0].match.methods[0]: methods are case-sensitive (RFC 9110 §9.1) (did you mean "GET"?)
            t.yaml:3:47: error: routes[0].match.methods[1]: CONNECT is never served
            t.yaml:3:56: error: routes[0].match.methods[2]: expected a method such as GET, not "G T"
            """),
    BrokenFile(
        name: "a rate without a unit",
        text: """
            middlewares: {a: {rate_limit: {rate: 10}}}

            """,
        diagnostics: """
            t.yaml:2:19: warning: middlewares.a.rate_limit: rate_limit is accepted, but has no effect in this version
            t.yaml:2:38: error: middlewares.a.rate_limit.rate: expected a rate such as 10/s or 100/m, not "10" (did you mean \
            "10/s"?)
            """),
    BrokenFile(
        name: "a share above one",
        text: """
            services: {a: {instances: [{url: "http://h"}], retry: {budget: 120%}}}

            """,
        diagnostics: """
            t.yaml:2:64: error: services.a.retry.budget: must be between 0% and 100%, not 120%
            """),
    BrokenFile(
        name: "a relative log file",
        text: """
            access_log: {output: stdot}

            """,
        diagnostics: """
            t.yaml:2:22: error: access_log.output: expected stdout, stderr, journald, none, an absolute path or a \
            collector such as syslog+udp://host:514, not "stdot" (did you mean "stdout"?)
            """),
    BrokenFile(
        name: "a variable that is not set",
        text: """
            server: {log_level: "${SLUICE_LEVEL}"}

            """,
        diagnostics: """
            t.yaml:2:21: error: server.log_level: the environment variable SLUICE_LEVEL is not set and has no default
            """),
    BrokenFile(
        name: "a variable without its end",
        text: """
            server: {log_level: "${LEVEL"}

            """,
        diagnostics: """
            t.yaml:2:21: error: server.log_level: "${" has no "}"; a dollar sign itself is written $$
            """),
    BrokenFile(
        name: "a variable in lower case",
        text: """
            server: {log_level: "${level}"}

            """,
        diagnostics: """
            t.yaml:2:21: error: server.log_level: "${level}" is neither an environment variable (upper case) nor a request \
            variable
            """),
    BrokenFile(
        name: "a request variable where none can be",
        text: """
            server: {via: "${client.address}"}

            """,
        diagnostics: """
            t.yaml:2:15: error: server.via: the request variable ${client.address} can stand only in header values and \
            redirect targets
            """),
    BrokenFile(
        name: "a request variable that is none",
        text: """
            middlewares: {a: {headers: {request: {set: {X-A: "${client.adress}"}}}}}

            """,
        diagnostics: """
            t.yaml:2:50: error: middlewares.a.headers.request.set.X-A: "${client.adress}" is neither an environment variable \
            (upper case) nor a request variable (did you mean "${client.address}"?)
            """),
    BrokenFile(
        name: "a secret file that is missing",
        text: """
            admin: {token: "file:/nonexistent/token"}

            """,
        diagnostics: """
            t.yaml:2:16: error: admin.token: cannot read /nonexistent/token: No such file or directory
            """),
    BrokenFile(
        name: "a secret file by a relative path",
        text: """
            admin: {token: "file:token"}

            """,
        diagnostics: """
            t.yaml:2:16: error: admin.token: file: needs an absolute path
            """),
    BrokenFile(
        name: "a service that does not exist",
        text: """
            services: {users: {instances: [{url: "http://h"}]}}
            routes:
              - {name: a, match: {path: /}, service: user}

            """,
        diagnostics: """
            t.yaml:4:42: error: routes[0].service: there is no service "user" (did you mean "users"?)
            """),
    BrokenFile(
        name: "a middleware that does not exist",
        text: """
            middlewares: {small: {body_size: {max: 1k}}}
            routes:
              - {name: a, match: {path: /}, health: true, middlewares: [smal]}

            """,
        diagnostics: """
            t.yaml:4:61: error: routes[0].middlewares[0]: there is no middleware "smal" (did you mean "small"?)
            """),
    BrokenFile(
        name: "a middleware named twice",
        text: """
            middlewares: {small: {body_size: {max: 1k}}}
            routes:
              - {name: a, match: {path: /}, health: true, middlewares: [small, small]}

            """,
        diagnostics: """
            t.yaml:4:68: error: routes[0].middlewares[1]: the middleware "small" is named twice
            """),
    BrokenFile(
        name: "two routes of one name",
        text: """
            routes:
              - {name: a, match: {path: /}, health: true}
              - {name: a, match: {path: /b}, health: true}

            """,
        diagnostics: """
            t.yaml:4:12: error: routes[1].name: the name "a" is taken by routes[0].name
            """),
    BrokenFile(
        name: "two listeners of one name and address", hasListener: false,
        text: """
            listeners:
              - {name: a, address: "127.0.0.1:80"}
              - {name: a, address: "localhost:80"}

            """,
        diagnostics: """
            t.yaml:3:12: error: listeners[1].name: the name "a" is taken by listeners[0].name
            t.yaml:3:24: error: listeners[1].address: the address 127.0.0.1:80 is taken by listeners[0].address
            """),
    BrokenFile(
        name: "a listener on the admin address", hasListener: false,
        text: """
            listeners: [{name: a, address: "127.0.0.1:9901"}]
            admin: {enabled: true}

            """,
        diagnostics: """
            t.yaml:2:8: error: admin.address: the address 127.0.0.1:9901 is taken by listeners[0].address
            """),
    BrokenFile(
        name: "an admin listener open to all",
        text: """
            admin: {address: "0.0.0.0:9901"}

            """,
        diagnostics: """
            t.yaml:2:18: error: admin.address: 0.0.0.0:9901 can be reached by other machines and needs admin.token, or \
            admin.tls with client_auth: {mode: require}
            """),
    BrokenFile(
        name: "a route without an action",
        text: """
            routes:
              - {name: a, match: {path: /}}

            """,
        diagnostics: """
            t.yaml:3:5: error: routes[0]: exactly one of service, redirect, respond, health, ready or metrics is needed
            """),
    BrokenFile(
        name: "a route with two actions",
        text: """
            services: {s: {instances: [{url: "http://h"}]}}
            routes:
              - {name: a, match: {path: /}, service: s, health: true}

            """,
        diagnostics: """
            t.yaml:4:45: error: routes[0].health: cannot stand beside "service"; exactly one of service, redirect, respond, \
            health, ready or metrics is needed
            """),
    BrokenFile(
        name: "a middleware of two kinds",
        text: """
            middlewares: {a: {body_size: {max: 1k}, headers: {}}}

            """,
        diagnostics: """
            t.yaml:2:41: error: middlewares.a.headers: cannot stand beside "body_size"; exactly one of headers, body_size, \
            jwt, api_key, authorize, ip_access, client_cert, rate_limit, cors, cache or custom is needed
            """),
    BrokenFile(
        name: "a service without instances",
        text: """
            services: {a: {instances: []}}

            """,
        diagnostics: """
            t.yaml:2:27: error: services.a.instances: needs at least one entry
            """),
    BrokenFile(
        name: "an instance twice",
        text: """
            services: {a: {instances: [{url: "http://h:80"}, {url: "http://H"}]}}

            """,
        diagnostics: """
            t.yaml:2:56: error: services.a.instances[1].url: h:80 stands at services.a.instances[0].url already
            """),
    BrokenFile(
        name: "header rules for what the gateway owns",
        text: """
            middlewares:
              a:
                headers:
                  request:
                    set: {Host: x, Content-Length: 1, X-Forwarded-For: y}
                    add: {transfer_encoding: chunked}
                    remove: [Connection, Via]
                  response:
                    set: {Upgrade: x}

            """,
        diagnostics: """
            t.yaml:6:15: error: middlewares.a.headers.request.set.Host: Host is set by the service's pass_host
            t.yaml:6:24: error: middlewares.a.headers.request.set.Content-Length: Content-Length frames the message and is \
            managed by the gateway
            t.yaml:6:43: error: middlewares.a.headers.request.set.X-Forwarded-For: X-Forwarded-For tells who the client is \
            and is set by server.forwarded
            t.yaml:7:15: error: middlewares.a.headers.request.add.transfer_encoding: transfer_encoding frames the message \
            and is managed by the gateway
            t.yaml:8:18: error: middlewares.a.headers.request.remove[0]: Connection belongs to one connection and is managed \
            by the gateway
            t.yaml:8:30: error: middlewares.a.headers.request.remove[1]: Via is managed by the gateway
            t.yaml:10:15: error: middlewares.a.headers.response.set.Upgrade: Upgrade belongs to one connection and is \
            managed by the gateway
            """),
    BrokenFile(
        name: "header rules that are none",
        text: """
            middlewares:
              a:
                headers:
                  request:
                    set: {"X A": b, X-B: "a\\r\\nX-C: d", X-D: e, x-d: f}

            """,
        diagnostics: """
            t.yaml:6:15: error: middlewares.a.headers.request.set.X A: "X A" is not a header name
            t.yaml:6:30: error: middlewares.a.headers.request.set.X-B: has a control character, which no header value can \
            hold
            t.yaml:6:53: error: middlewares.a.headers.request.set.x-d: stands twice; header names do not depend on case
            """),
    BrokenFile(
        name: "a route that would be open",
        text: """
            middlewares:
              users: {jwt: {issuer: i, algorithms: [RS256], public_key_file: /k.pem}}
              keys: {api_key: {}}
            routes:
              - {name: a, match: {path: /}, health: true, middlewares: [users, keys]}

            """,
        diagnostics: """
            t.yaml:3:11: warning: middlewares.users.jwt: jwt is accepted, but has no effect in this version
            t.yaml:4:10: warning: middlewares.keys.api_key: api_key is accepted, but has no effect in this version
            t.yaml:6:61: error: routes[0].middlewares[0]: the middleware "users" (jwt) is not available in this version, and \
            the route would be open
            t.yaml:6:68: error: routes[0].middlewares[1]: the middleware "keys" (api_key) is not available in this version, \
            and the route would be open
            """),
    BrokenFile(
        name: "a weak secret and mixed algorithms",
        text: """
            middlewares:
              a: {jwt: {algorithms: [HS256], secret: short}}
              b: {jwt: {algorithms: [HS256, RS256], jwks_file: /j}}
              c: {jwt: {algorithms: [RS256]}}
              d: {jwt: {algorithms: [RS256], secret: "0123456789012345678901234567890123"}}

            """,
        diagnostics: """
            t.yaml:3:7: warning: middlewares.a.jwt: jwt is accepted, but has no effect in this version (used in 3 more \
            places)
            t.yaml:3:42: error: middlewares.a.jwt.secret: a secret needs at least 32 bytes, this one has 5
            t.yaml:4:26: error: middlewares.b.jwt.algorithms[0]: HS algorithms and those with a public key cannot be mixed
            t.yaml:5:12: error: middlewares.c.jwt: exactly one of jwks_url, jwks_file, public_key_file or secret is needed
            t.yaml:6:34: error: middlewares.d.jwt.secret: RS256 needs a public key
            """),
    BrokenFile(
        name: "CORS for all with credentials",
        text: """
            middlewares: {a: {cors: {allow_origins: ["*"], allow_credentials: true}}}

            """,
        diagnostics: """
            t.yaml:2:42: error: middlewares.a.cors.allow_origins[0]: * cannot stand with allow_credentials: every site could \
            act for the user
            """),
    BrokenFile(
        name: "rewrites of what is not there",
        text: """
            services: {s: {instances: [{url: "http://h"}]}}
            routes:
              - {name: a, match: {path: "/u/{id}"}, service: s, path: {rewrite: "/{di}/*"}}
              - {name: b, match: {path: "/b"}, service: s, path: {rewrite: /c, strip_prefix: /b}}

            """,
        diagnostics: """
            t.yaml:4:69: error: routes[0].path.rewrite: match.path has no segment {di} (did you mean "id"?)
            t.yaml:4:69: error: routes[0].path.rewrite: /* needs a match.path that ends in /*
            t.yaml:5:64: error: routes[1].path.rewrite: cannot stand beside strip_prefix or add_prefix
            """),
    BrokenFile(
        name: "redirects that are none",
        text: """
            routes:
              - {name: a, match: {path: /a}, redirect: {to: "${host}/x"}}
              - {name: b, match: {path: /b}, redirect: {to: //evil.example}}
              - {name: c, match: {path: /c}, redirect: {to: /ok, status: 300}}
              - {name: d, match: {path: /d}, redirect: {to: "/{id}"}}
              - {name: e, match: {path: /e}, redirect: {to: "https://x/${client.address}"}}
              - {name: f, match: {path: /f}, redirect: {}}

            """,
        diagnostics: """
            t.yaml:3:49: error: routes[0].redirect.to: must begin with a path, http://, https:// or ${scheme}://
            t.yaml:4:49: error: routes[1].redirect.to: must begin with a path, http://, https:// or ${scheme}://
            t.yaml:5:62: error: routes[2].redirect.status: expected 301, 302, 303, 307 or 308, not "300" (did you mean \
            "301"?)
            t.yaml:6:49: error: routes[3].redirect.to: match.path has no segment {id}
            t.yaml:7:49: error: routes[4].redirect.to: ${client.address} cannot stand in a redirect; ${scheme}, ${host} and \
            ${path} can
            t.yaml:8:44: error: routes[5].redirect: the key "to" is missing
            """),
    BrokenFile(
        name: "fixed answers that are none",
        text: """
            routes:
              - {name: a, match: {path: /a}, respond: {status: 100}}
              - {name: b, match: {path: /b}, respond: {status: 204, body: x}}
              - {name: c, match: {path: /c}, respond: {headers: {Content-Type: a}}}

            """,
        diagnostics: """
            t.yaml:3:52: error: routes[0].respond.status: must be between 200 and 599, not 100
            t.yaml:4:63: error: routes[1].respond.body: an answer with status 204 has no body (RFC 9110 §15)
            t.yaml:5:54: error: routes[2].respond.headers.Content-Type: Content-Type is set by content_type
            """),
    BrokenFile(
        name: "actions switched off by hand",
        text: """
            routes:
              - {name: a, match: {path: /a}, health: false}

            """,
        diagnostics: """
            t.yaml:3:42: error: routes[0].health: expected true, not "false"
            """),
    BrokenFile(
        name: "limits of the process in a listener", hasListener: false,
        text: """
            listeners: [{name: a, address: "127.0.0.1:80", limits: {connections: 5}}]

            """,
        diagnostics: """
            t.yaml:1:57: error: listeners[0].limits.connections: counts for the whole process and stands in the file's own \
            limits
            """),
    BrokenFile(
        name: "a request id in a field of the gateway",
        text: """
            server: {request_id: {header: Content-Length}}

            """,
        diagnostics: """
            t.yaml:2:31: error: server.request_id.header: Content-Length frames the message and is managed by the gateway
            """),
    BrokenFile(
        name: "a service that is text",
        text: """
            services: {a: b}
            routes: [{name: r, match: {path: /}, service: a}]

            """,
        diagnostics: """
            t.yaml:2:15: error: services.a: expected a mapping, not "b"
            """),
    BrokenFile(
        name: "a service of which every instance is off",
        text: """
            services: {a: {instances: [{url: "http://h", enabled: false}]}}

            """,
        diagnostics: """
            t.yaml:2:27: error: services.a.instances: needs at least one instance that is enabled
            """),
    BrokenFile(
        name: "a variable with another operator",
        text: """
            server: {via: "${X:+y}"}

            """,
        diagnostics: """
            t.yaml:2:15: error: server.via: "${X" must be followed by "}" or ":-default}"
            """),
    BrokenFile(
        name: "a rate of nothing",
        text: """
            middlewares: {a: {rate_limit: {rate: 0/s}}}

            """,
        diagnostics: """
            t.yaml:2:19: warning: middlewares.a.rate_limit: rate_limit is accepted, but has no effect in this version
            t.yaml:2:38: error: middlewares.a.rate_limit.rate: must be between 1 and 1000000000 for each s, not 0
            """),
    BrokenFile(
        name: "a rate limit by what is not known",
        text: """
            middlewares: {a: {rate_limit: {key: usr}}, b: {rate_limit: {key: "header:X A"}}, c: {rate_limit: {key: "header:X-A"}}}

            """,
        diagnostics: """
            t.yaml:2:19: warning: middlewares.a.rate_limit: rate_limit is accepted, but has no effect in this version (used \
            in 2 more places)
            t.yaml:2:37: error: middlewares.a.rate_limit.key: expected ip, user, org, api_key, route, service, global or \
            header:NAME (did you mean "user"?)
            t.yaml:2:66: error: middlewares.b.rate_limit.key: expected ip, user, org, api_key, route, service, global or \
            header:NAME
            """),
    BrokenFile(
        name: "authorization by nothing",
        text: """
            middlewares: {a: {authorize: {}}}

            """,
        diagnostics: """
            t.yaml:2:19: warning: middlewares.a.authorize: authorize is accepted, but has no effect in this version
            t.yaml:2:30: error: middlewares.a.authorize: one of scopes_any, scopes_all, roles_any or permissions is needed
            """),
    BrokenFile(
        name: "origins that are none",
        text: """
            middlewares: {a: {cors: {allow_origins: [example.com, "https://a b", "https://*.example.com", "http://127.0.0.1:3000", "null"]}}}

            """,
        diagnostics: """
            t.yaml:2:42: error: middlewares.a.cors.allow_origins[0]: expected an origin such as https://example.com or \
            https://*.example.com, or *, or null, not "example.com" (did you mean "https://example.com"?)
            t.yaml:2:55: error: middlewares.a.cors.allow_origins[1]: expected an origin such as https://example.com or \
            https://*.example.com, or *, or null, not "https://a b"
            t.yaml:2:120: warning: middlewares.a.cors.allow_origins[4]: null is the origin of every sandboxed page, whoever \
            wrote it
            """),
    BrokenFile(
        name: "more redirects that are none",
        text: """
            routes:
              - {name: a, match: {path: /a}, redirect: {to: "/a b"}}
              - {name: b, match: {path: /b}, redirect: {to: ""}}
              - {name: c, match: {path: /c}, redirect: {to: "${scheme}/x"}}
              - {name: d, match: {path: /d}, redirect: {to: "${path}/{not a name}"}}
              - {name: e, match: {path: /e, host: ["[::1]", 127.0.0.1, "*"]}, redirect: {to: "example.com/x"}}

            """,
        diagnostics: """
            t.yaml:3:49: error: routes[0].redirect.to: has a character that a URL must percent-encode
            t.yaml:4:49: error: routes[1].redirect.to: is empty
            t.yaml:5:49: error: routes[2].redirect.to: ${scheme} must be followed by ://
            t.yaml:6:49: error: routes[3].redirect.to: has a character that a URL must percent-encode
            t.yaml:7:82: error: routes[4].redirect.to: must begin with a path, http://, https:// or ${scheme}://
            """),
    BrokenFile(
        name: "header rules for an answer",
        text: """
            middlewares: {a: {headers: {response: {set: {Host: a, X-Request-ID: b, X-Auth-Subject: c, Client-Cert: d, Date: e}}}}}

            """,
        diagnostics: """
            t.yaml:2:46: error: middlewares.a.headers.response.set.Host: Host has no place in an answer
            t.yaml:2:55: error: middlewares.a.headers.response.set.X-Request-ID: X-Request-ID is set by server.request_id
            t.yaml:2:72: error: middlewares.a.headers.response.set.X-Auth-Subject: X-Auth-Subject tells who the caller is \
            and is managed by the gateway
            t.yaml:2:91: error: middlewares.a.headers.response.set.Client-Cert: Client-Cert tells who the caller is and is \
            managed by the gateway
            t.yaml:2:107: error: middlewares.a.headers.response.set.Date: Date is managed by the gateway
            """),
    BrokenFile(
        name: "a Unix socket by a relative path",
        text: """
            services: {a: {instances: [{url: "unix:app.sock"}, {url: "unix:/"}]}}

            """,
        diagnostics: """
            t.yaml:2:34: error: services.a.instances[0].url: a Unix socket needs an absolute path of at most 107 bytes
            t.yaml:2:58: error: services.a.instances[1].url: a Unix socket needs an absolute path of at most 107 bytes
            """),
    BrokenFile(
        name: "a merge of text",
        text: """
            server: {<<: {workers: 2}}
            limits:
              <<: [{request_headers: 5}, {request_headers: 6}]
            access_log: {<<: text}

            """,
        diagnostics: """
            t.yaml:5:18: error: << needs a mapping or a list of mappings
            """),
]
