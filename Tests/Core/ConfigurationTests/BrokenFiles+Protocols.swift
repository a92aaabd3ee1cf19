/// More files that are wrong: TLS, HTTP/2, tunnels and what is known of clients by their certificates.
let brokenProtocols: [BrokenFile] = [
    BrokenFile(
        name: "protocols that do not fit the encryption", hasListener: false,
        text: """
            listeners:
              - {name: a, address: "127.0.0.1:1", protocols: [h2]}
              - {name: b, address: "127.0.0.1:2", protocols: [http/1.1, h2c], tls: {certificates: [{cert_file: c, key_file: k}]}}
              - {name: c, address: "127.0.0.1:3", protocols: [h2c, h2c]}
              - {name: d, address: "127.0.0.1:4", protocols: [http/2, h2c], tls: {enabled: false, certificates: []}}
              - {name: e, address: "127.0.0.1:5", protocols: []}

            """,
        diagnostics: """
            t.yaml:2:51: error: listeners[0].protocols[0]: h2 is HTTP/2 over TLS, and the listener has no tls; add it, or say \
            h2c for HTTP/2 without encryption
            t.yaml:3:61: error: listeners[1].protocols[1]: h2c is HTTP/2 without encryption, and the listener has tls; over \
            TLS it is h2
            t.yaml:4:56: error: listeners[2].protocols[1]: h2c is named twice
            t.yaml:5:51: error: listeners[3].protocols[0]: expected http/1.1, h2 or h2c, not "http/2"
            t.yaml:5:101: error: listeners[3].tls.certificates: needs at least one entry
            t.yaml:6:50: error: listeners[4].protocols: needs at least one entry
            """),
    BrokenFile(
        name: "certificates that are not there, or fit no name", hasListener: false,
        text: """
            listeners:
              - name: a
                address: "127.0.0.1:1"
                tls:
                  certificates:
                    - {cert_file: /c}
                    - {cert_file: "", key_file: /etc/keys/, names: []}
                    - {cert_file: /c, key_file: /k, names: ["*", 127.0.0.1, "[::1]", a.*.example, "a.example:443"]}
                    - {cert_file: /c, key_file: /k, names: [a.example, B.example]}
                    - {cert_file: /d, key_file: /k, names: b.example, client_auth: {ca_file: /ca}}
                  min_version: 1.1
                  ticket_rotation: 59s
                  strict_sni: yes
                  sni: true

            """,
        diagnostics: """
            t.yaml:6:11: error: listeners[0].tls.certificates[0]: the key "key_file" is missing
            t.yaml:7:23: error: listeners[0].tls.certificates[1].cert_file: expected a file, not ""
            t.yaml:7:37: error: listeners[0].tls.certificates[1].key_file: expected a file, not "/etc/keys/"
            t.yaml:7:56: error: listeners[0].tls.certificates[1].names: needs at least one entry
            t.yaml:8:49: error: listeners[0].tls.certificates[2].names[0]: the first certificate is for all other names; leave \
            names out, or name hosts
            t.yaml:8:54: error: listeners[0].tls.certificates[2].names[1]: clients ask for host names, never for an address \
            (RFC 6066 §3)
            t.yaml:8:65: error: listeners[0].tls.certificates[2].names[2]: clients ask for host names, never for an address \
            (RFC 6066 §3)
            t.yaml:8:74: error: listeners[0].tls.certificates[2].names[3]: * can stand only for whole labels in front, as in \
            *.example.com
            t.yaml:8:87: error: listeners[0].tls.certificates[2].names[4]: a host is matched without its port (did you mean \
            "a.example"?)
            t.yaml:10:48: error: listeners[0].tls.certificates[4].names: "b.example" stands at \
            listeners[0].tls.certificates[3].names[1] with another client_auth; a client can offer either kind of key, so that \
            both must ask the same of it
            t.yaml:11:20: error: listeners[0].tls.min_version: expected 1.2 or 1.3, not "1.1" (did you mean "1.2"?)
            t.yaml:12:24: error: listeners[0].tls.ticket_rotation: must be between 1m and 7d, not 59s
            t.yaml:13:19: error: listeners[0].tls.strict_sni: expected true or false, not "yes" (did you mean "true"?)
            t.yaml:14:7: error: listeners[0].tls.sni: unknown key; known here: certificates, client_auth, min_version, \
            strict_sni, session_tickets, ticket_rotation, enabled
            """),
    BrokenFile(
        name: "client_auth", hasListener: false,
        text: """
            listeners:
              - {name: a, address: "127.0.0.1:1", tls: {certificates: [{cert_file: c, key_file: k}], client_auth: {}}}
              - {name: b, address: "127.0.0.1:2", tls: {certificates: [{cert_file: c, key_file: k}], client_auth: {ca_file: /ca, mode: none, depth: 0, forward: 1}}}
              - {name: c, address: "127.0.0.1:3", tls: {certificates: [{cert_file: c, key_file: k}], session_tickets: false, ticket_rotation: 1h}}

            """,
        diagnostics: """
            t.yaml:2:103: error: listeners[0].tls.client_auth: the key "ca_file" is missing
            t.yaml:3:124: error: listeners[1].tls.client_auth.mode: expected require, request or optional, not "none"
            t.yaml:3:137: error: listeners[1].tls.client_auth.depth: must be between 1 and 10, not 0
            t.yaml:3:149: error: listeners[1].tls.client_auth.forward: expected true or false, not "1" (did you mean "true"?)
            t.yaml:4:114: warning: listeners[2].tls.ticket_rotation: has no effect with session_tickets: false
            """),
    BrokenFile(
        name: "limits of HTTP/2", hasListener: false,
        text: """
            listeners:
              - name: a
                address: "127.0.0.1:1"
                protocols: h2c
                http2: {max_concurrent_streams: 0, initial_window: 65534, connection_window: 1GiB, max_resets: 0, max_control_frames: 0, enabled: false}

            """,
        diagnostics: """
            t.yaml:5:37: error: listeners[0].http2.max_concurrent_streams: must be between 1 and 10000, not 0
            t.yaml:5:56: error: listeners[0].http2.initial_window: must be between 65535 and 16MiB, not 65534
            t.yaml:5:82: error: listeners[0].http2.connection_window: must be between 65535 and 64MiB, not 1GiB
            t.yaml:5:100: error: listeners[0].http2.max_resets: must be between 1 and 1000000, not 0
            t.yaml:5:123: error: listeners[0].http2.max_control_frames: must be between 20 and 1000000, not 0
            t.yaml:5:126: error: listeners[0].http2.enabled: unknown key; known here: max_concurrent_streams, initial_window, \
            connection_window, max_resets, max_control_frames
            """),
    BrokenFile(
        name: "protocols that do not fit the URL of an instance",
        text: """
            services:
              a:
                instances:
                  - {url: "http://a", protocol: h2}
                  - {url: "https://b", protocol: h2c}
                  - {url: "unix:/c", protocol: h2}
                  - {url: "http://d", protocol: h3}
                  - {url: "https://b:443"}
                  - {url: "https://u:p@e"}
                pool: {max_streams: 0}

            """,
        diagnostics: """
            t.yaml:5:37: error: services.a.instances[0].protocol: h2 is HTTP/2 over TLS and needs an https:// url; without \
            encryption it is h2c
            t.yaml:6:38: error: services.a.instances[1].protocol: h2c is HTTP/2 without encryption, and the url is https://; \
            over TLS it is h2
            t.yaml:7:36: error: services.a.instances[2].protocol: h2 is HTTP/2 over TLS and needs an https:// url; without \
            encryption it is h2c
            t.yaml:8:37: error: services.a.instances[3].protocol: expected auto, http/1.1, h2 or h2c, not "h3" (did you mean \
            "h2"?)
            t.yaml:9:15: error: services.a.instances[4].url: https://b:443 stands at services.a.instances[1].url already
            t.yaml:10:15: error: services.a.instances[5].url: a user name or password in a URL is not supported; set an \
            Authorization header instead
            t.yaml:11:25: error: services.a.pool.max_streams: must be between 1 and 10000, not 0
            """),
    BrokenFile(
        name: "tls of a service",
        text: """
            services:
              a: {instances: [{url: "https://a"}], tls: {cert_file: /c}}
              b: {instances: [{url: "https://a"}], tls: {key_file: /k, server_name: "*.example"}}
              c: {instances: [{url: "https://a"}], tls: {verify: true, insecure_skip_verify: true}}
              d: {instances: [{url: "https://a"}], tls: {verify: false, ca: /ca}}

            """,
        diagnostics: """
            t.yaml:3:46: error: services.a.tls.cert_file: needs key_file beside it
            t.yaml:4:46: error: services.b.tls.key_file: needs cert_file beside it
            t.yaml:4:73: error: services.b.tls.server_name: expected a host name such as gateway.example.com, not "*.example"
            t.yaml:5:60: error: services.c.tls.insecure_skip_verify: is an older name of verify, which stands beside it
            t.yaml:6:54: warning: services.d.tls.verify: the certificates of this service's instances are not verified: \
            whoever is on the way can read and change everything
            t.yaml:6:61: error: services.d.tls.ca: unknown key; known here: ca_file, cert_file, key_file, server_name, verify, \
            insecure_skip_verify, min_version, enabled
            """),
    // Hardening 94, 105.
    BrokenFile(
        name: "upgrades to what is no protocol, or to HTTP/2",
        text: """
            services: {s: {instances: [{url: "http://h"}]}}
            routes:
              - {name: a, match: {path: /a}, service: s, upgrade: [h2c, H2C, h2, HTTP/2.0]}
              - {name: b, match: {path: /b}, service: s, upgrade: ["web socket", "a/b/c", "", websocket, WebSocket]}
              - {name: c, match: {path: /c}, service: s, upgrade: [a, b, c, d, e, f, g, h, i]}
              - {name: d, match: {path: /d}, service: s, upgrade: websocket, websocket: {origins: [], idle_timeout: 0s}}
              - {name: e, match: {path: /e}, service: s, upgrade: websocket, websocket: {origins: [example.com, "https://a.example/"], enabled: false}}

            """,
        diagnostics: """
            t.yaml:4:56: error: routes[0].upgrade[0]: HTTP/2 is negotiated, not upgraded to
            t.yaml:4:61: error: routes[0].upgrade[1]: HTTP/2 is negotiated, not upgraded to
            t.yaml:4:66: error: routes[0].upgrade[2]: HTTP/2 is negotiated, not upgraded to
            t.yaml:4:70: error: routes[0].upgrade[3]: HTTP/2 is negotiated, not upgraded to
            t.yaml:5:56: error: routes[1].upgrade[0]: expected a protocol such as websocket, not "web socket"
            t.yaml:5:70: error: routes[1].upgrade[1]: expected a protocol such as websocket, not "a/b/c"
            t.yaml:5:79: error: routes[1].upgrade[2]: expected a protocol such as websocket, not ""
            t.yaml:5:94: error: routes[1].upgrade[4]: websocket is named twice
            t.yaml:6:55: error: routes[2].upgrade: has 9 entries, which is more than 8
            t.yaml:7:105: error: routes[3].websocket.idle_timeout: must be between 1s and 30d, or off, not 0s
            t.yaml:8:88: error: routes[4].websocket.origins[0]: expected an origin such as https://example.com or \
            https://*.example.com, or *, or null, not "example.com" (did you mean "https://example.com"?)
            t.yaml:8:101: error: routes[4].websocket.origins[1]: an origin has no path (did you mean "https://a.example"?)
            t.yaml:8:124: error: routes[4].websocket.enabled: unknown key; known here: origins, idle_timeout
            """),
    BrokenFile(
        name: "rules on certificates",
        text: """
            middlewares:
              a: {client_cert: {}}
              b: {client_cert: {subjects: [], fingerprints: [abc, "ab:cd", "zz"]}}
              c: {client_cert: {sans: [a.example, "https://a.example/x", me@a.example, 10.0.0.1, dns:A.example, "DNS:a b", "IP:a", "URI:x", "email:x", ""]}}

            """,
        diagnostics: """
            t.yaml:3:20: error: middlewares.a.client_cert: one of subjects, sans or fingerprints is needed
            t.yaml:4:31: error: middlewares.b.client_cert.subjects: needs at least one entry
            t.yaml:4:50: error: middlewares.b.client_cert.fingerprints[0]: expected a SHA-256 fingerprint of 64 hexadecimal \
            digits, not "abc"
            t.yaml:4:55: error: middlewares.b.client_cert.fingerprints[1]: expected a SHA-256 fingerprint of 64 hexadecimal \
            digits, not "ab:cd"
            t.yaml:4:64: error: middlewares.b.client_cert.fingerprints[2]: expected a SHA-256 fingerprint of 64 hexadecimal \
            digits, not "zz"
            t.yaml:5:28: error: middlewares.c.client_cert.sans[0]: expected a name such as DNS:client.example.com, \
            URI:spiffe://…, email:… or IP:…, not "a.example" (did you mean "DNS:a.example"?)
            t.yaml:5:39: error: middlewares.c.client_cert.sans[1]: expected a name such as DNS:client.example.com, \
            URI:spiffe://…, email:… or IP:…, not "https://a.example/x" (did you mean "URI:https://a.example/x"?)
            t.yaml:5:62: error: middlewares.c.client_cert.sans[2]: expected a name such as DNS:client.example.com, \
            URI:spiffe://…, email:… or IP:…, not "me@a.example" (did you mean "email:me@a.example"?)
            t.yaml:5:76: error: middlewares.c.client_cert.sans[3]: expected a name such as DNS:client.example.com, \
            URI:spiffe://…, email:… or IP:…, not "10.0.0.1" (did you mean "IP:10.0.0.1"?)
            t.yaml:5:86: error: middlewares.c.client_cert.sans[4]: expected a name such as DNS:client.example.com, \
            URI:spiffe://…, email:… or IP:…, not "dns:A.example" (did you mean "DNS:A.example"?)
            t.yaml:5:101: error: middlewares.c.client_cert.sans[5]: expected a name such as DNS:client.example.com, \
            URI:spiffe://…, email:… or IP:…, not "DNS:a b"
            t.yaml:5:112: error: middlewares.c.client_cert.sans[6]: expected a name such as DNS:client.example.com, \
            URI:spiffe://…, email:… or IP:…, not "IP:a"
            t.yaml:5:120: error: middlewares.c.client_cert.sans[7]: expected a name such as DNS:client.example.com, \
            URI:spiffe://…, email:… or IP:…, not "URI:x"
            t.yaml:5:129: error: middlewares.c.client_cert.sans[8]: expected a name such as DNS:client.example.com, \
            URI:spiffe://…, email:… or IP:…, not "email:x"
            t.yaml:5:140: error: middlewares.c.client_cert.sans[9]: expected a name such as DNS:client.example.com, \
            URI:spiffe://…, email:… or IP:…, not ""
            """),
]
