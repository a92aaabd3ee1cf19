import Configuration
import ConfigurationFile
import Primitives
import Testing

struct TLSKeyTests {
    private func listener(_ text: String, file: String = "t.yaml") throws -> ListenerConfiguration {
        let result = ConfigurationLoader.load(
            text:
                "listeners: [{name: a, address: \"0.0.0.0:443\", \(text)}]\nroutes: [{name: r, match: {path: /}, health: true}]\n",
            name: file, environment: ["KEYS": "/run/keys"])
        #expect(lines(result) == [])
        return try #require(result.configuration).listeners[0]
    }

    private func service(_ text: String) throws -> (ServiceConfiguration, [String]) {
        let result = loadRest("services: {s: {\(text)}}\nroutes: [{name: r, match: {path: /}, service: s}]\n")
        return (try #require(result.configuration).services[0], lines(result))
    }

    // Hardening 132, 133.
    @Test func `a listener with only a certificate has TLS 1.2, HTTP/2 before HTTP/1.1, and asks no client for one`() throws {
        let listener = try listener("tls: {certificates: [{cert_file: /c.pem, key_file: /k.pem}]}")
        let tls = try #require(listener.tls)
        #expect(tls.certificates == [CertificateConfiguration(certFile: "/c.pem", keyFile: "/k.pem")])
        #expect(tls.certificates[0].names == [])
        #expect(tls.certificates[0].ocspFile == nil)
        #expect(tls.clientAuth == nil)
        #expect(tls.minimumVersion == .tls12)
        #expect(!tls.strictSNI)
        #expect(tls.sessionTickets)
        #expect(tls.ticketRotation == .seconds(12 * 3600))
        #expect(!tls.asksForClientCertificate)
        #expect(listener.protocols == ListenerProtocols([.h2, .http1]))
    }

    @Test func `every key of tls is read`() throws {
        let tls = try #require(
            try listener(
                """
                tls: {
                  certificates: [
                    {cert_file: /a.pem, key_file: /a.key, names: [A.Example.com, "*.b.example"], ocsp_file: /a.der},
                    {cert_file: /b.pem, key_file: /b.key, names: c.example,
                     client_auth: {ca_file: /b-ca.pem, mode: request, depth: 1, forward: false}}],
                  client_auth: {ca_file: /ca.pem, crl_file: /crl.pem, depth: 10},
                  min_version: 1.3, strict_sni: true, session_tickets: false}
                """
            ).tls)
        #expect(tls.certificates.map(\.names) == [["a.example.com", "*.b.example"], ["c.example"]])
        #expect(tls.certificates.map(\.ocspFile) == ["/a.der", nil])
        var own = ClientAuthConfiguration(caFile: "/b-ca.pem")
        own.mode = .request
        own.depth = 1
        own.forwards = false
        #expect(tls.certificates.map(\.clientAuth) == [nil, own])
        var auth = ClientAuthConfiguration(caFile: "/ca.pem")
        auth.crlFile = "/crl.pem"
        auth.depth = 10
        #expect(tls.clientAuth == auth)
        #expect(tls.certificates.map { tls.clientAuth(of: $0) } == [auth, own])
        #expect(tls.minimumVersion == .tls13)
        #expect(tls.strictSNI)
        #expect(!tls.sessionTickets)
    }

    // Hardening 135.
    @Test func `client_auth requires a certificate at three below the root and forwards it, unless it says otherwise`() throws {
        let plain = try #require(
            try listener("tls: {certificates: [{cert_file: /c, key_file: /k}], client_auth: {ca_file: /ca}}").tls)
        let auth = try #require(plain.clientAuth)
        #expect(auth.mode == .require)
        #expect(auth.depth == 3)
        #expect(auth.crlFile == nil)
        #expect(auth.forwards)
        #expect(plain.requiresClientCertificate)
        for word in ["request", "optional"] {
            let tls = try #require(
                try listener("tls: {certificates: [{cert_file: /c, key_file: /k}], client_auth: {ca_file: /ca, mode: \(word)}}")
                    .tls)
            #expect(tls.clientAuth?.mode == .request)
            #expect(!tls.requiresClientCertificate)
            #expect(tls.asksForClientCertificate)
        }
    }

    @Test func `a certificate that asks for less opens the listener`() throws {
        let tls = try #require(
            try listener(
                """
                tls: {client_auth: {ca_file: /ca}, certificates: [{cert_file: /c, key_file: /k},
                  {cert_file: /d, key_file: /l, client_auth: {ca_file: /ca, mode: request}}]}
                """
            ).tls)
        #expect(!tls.requiresClientCertificate)
    }

    @Test func `a file without a leading slash stands beside the configuration`() throws {
        let text = "tls: {certificates: [{cert_file: tls/c.pem, key_file: \"${KEYS}/k.pem\"}], client_auth: {ca_file: ca.pem}}"
        let tls = try #require(try listener(text, file: "/etc/sluice/sluice.yaml").tls)
        #expect(tls.certificates[0].certFile == "/etc/sluice/tls/c.pem")
        #expect(tls.certificates[0].keyFile == "/run/keys/k.pem")
        #expect(tls.clientAuth?.caFile == "/etc/sluice/ca.pem")
        #expect(try listener(text, file: "sluice.yaml").tls?.certificates[0].certFile == "tls/c.pem")
    }

    @Test func `RSA and ECDSA certificates may have the same names where both ask the same of clients`() throws {
        let tls = try #require(
            try listener(
                "tls: {certificates: [{cert_file: /r, key_file: /r.key, names: a.example}, {cert_file: /e, key_file: /e.key, names: a.example}]}"
            ).tls)
        #expect(tls.certificates.map(\.names) == [["a.example"], ["a.example"]])
    }

    @Test func `tls that is switched off leaves plain text`() throws {
        let listener = try listener("tls: {enabled: false, certificates: [{cert_file: /c, key_file: /k}]}")
        #expect(listener.tls == nil)
        #expect(listener.protocols == ListenerProtocols([.http1]))
    }

    @Test func `the parts of tls can be found again in the file`() throws {
        let result = load(
            """
            listeners:
              - {name: a, address: "127.0.0.1:1"}
              - name: b
                address: "127.0.0.1:2"
                tls:
                  certificates: [{cert_file: /c, key_file: /k}, {cert_file: /d, key_file: /l}]
                  client_auth: {ca_file: /ca}
            admin: {tls: {certificates: [{cert_file: /c, key_file: /k}]}}
            services:
              s: {instances: [{url: "http://h"}]}
              t: {instances: [{url: "https://h"}], tls: {ca_file: /ca}}
            routes: [{name: r, match: {path: /}, service: s}, {name: q, match: {path: /q}, service: t}]
            """)
        #expect(lines(result) == [])
        #expect(result.places.listenerTLS.count == 2)
        #expect(result.places.listenerTLS[0] == nil)
        let places = try #require(result.places.listenerTLS[1])
        #expect(places.block.path == "listeners[1].tls")
        #expect(places.certificates.map(\.path) == (0...1).map { "listeners[1].tls.certificates[\($0)].cert_file" })
        #expect(places.certificates.map(\.mark.line) == [6, 6])
        #expect(places.clientAuth?.path == "listeners[1].tls.client_auth")
        #expect(result.places.adminTLS?.block.path == "admin.tls")
        #expect(result.places.serviceTLS.map(\.path) == ["services.s", "services.t.tls"])
    }

    // The admin listener.

    @Test func `an admin listener that lets nobody in without a certificate needs no token`() throws {
        let certificates = "certificates: [{cert_file: /c, key_file: /k}]"
        let result = loadRest("admin: {address: \"0.0.0.0:9901\", tls: {\(certificates), client_auth: {ca_file: /ca}}}\n")
        #expect(result.errors == [])
        let tls = try #require(result.configuration?.admin.tls)
        #expect(tls.requiresClientCertificate)
        #expect(tls.certificates == [CertificateConfiguration(certFile: "/c", keyFile: "/k")])
        for weaker in ["", ", client_auth: {ca_file: /ca, mode: request}", ", client_auth: {ca_file: /ca, enabled: false}"] {
            let open = loadRest("admin: {address: \"0.0.0.0:9901\", tls: {\(certificates)\(weaker)}}\n")
            #expect(
                open.errors.map(\.message) == [
                    "0.0.0.0:9901 can be reached by other machines and needs admin.token, or admin.tls with client_auth: {mode: require}"
                ])
            #expect(
                loadRest("admin: {address: \"0.0.0.0:9901\", token: 0123456789abcdef, tls: {\(certificates)\(weaker)}}\n").errors
                    == [])
        }
    }

    @Test func `what is not known of a posted text is not held against it`() {
        let posted = """
            listeners: [{name: a, address: "127.0.0.1:1", protocols: ["${P}"], http2: {}, tls: {enabled: "${T}", certificates: [{cert_file: "${C}", key_file: "/k"}]}}]
            admin:
              address: "0.0.0.0:2"
              tls: {certificates: [{cert_file: /c, key_file: /k}], client_auth: {ca_file: "${CA}"}}
            services: {s: {instances: [{url: "${U}"}], tls: {verify: false}}}
            routes: [{name: r, match: {path: /}, service: s, upgrade: ["${W}"], websocket: {origins: "*"}}]
            """
        let result = ConfigurationLoader.load(posted: Array(posted.utf8), name: "posted")
        #expect(
            lines(result) == [
                "posted:1:59: warning: listeners[0].protocols[0]: 6 values come from the environment or a file, which are not read here; what depends on it is not checked"
            ])
    }

    @Test func `authorities that are missing are said once`() {
        let text = "admin: {address: \"0.0.0.0:9901\", tls: {certificates: [{cert_file: /c, key_file: /k}], client_auth: {}}}\n"
        #expect(loadRest(text).errors.map(\.message) == ["the key \"ca_file\" is missing"])
    }

    // Backends.

    // Hardening 139.
    @Test func `https instances are verified over TLS 1.2 with the authorities of the system unless the service says otherwise`()
        throws
    {
        let (service, warnings) = try service("instances: [{url: \"https://api.example.com\"}, {url: \"https://[::1]:8443\"}]")
        #expect(warnings == [])
        #expect(service.tls == TLSClientConfiguration())
        let tls = try #require(service.tls)
        #expect(tls.verify)
        #expect(tls.caFile == nil)
        #expect(tls.minimumVersion == .tls12)
        #expect(service.instances.map(\.isSecure) == [true, true])
        #expect(service.instances.map(\.address.text) == ["api.example.com:443", "[::1]:8443"])
        #expect(service.instances.map(\.hostField) == ["api.example.com", "[::1]:8443"])
        #expect(service.instances.map(\.protocol) == [.auto, .auto])
    }

    @Test func `every key of a service's tls is read`() throws {
        let (service, warnings) = try service(
            """
            instances: [{url: "https://h:8443"}],
            tls: {ca_file: /ca, cert_file: /c, key_file: /k, server_name: API.Example.com, min_version: "1.3", verify: true}
            """)
        #expect(warnings == [])
        var expected = TLSClientConfiguration()
        expected.caFile = "/ca"
        expected.certFile = "/c"
        expected.keyFile = "/k"
        expected.serverName = "api.example.com"
        expected.minimumVersion = .tls13
        #expect(service.tls == expected)
    }

    @Test(arguments: ["verify: false", "insecure_skip_verify: true"])
    func `backends that are not verified are warned about at each load`(key: String) throws {
        let (service, warnings) = try service("instances: [{url: \"https://h\"}], tls: {\(key)}")
        #expect(service.tls?.verify == false)
        #expect(warnings.count == 1)
        #expect(
            warnings.first?.hasSuffix(
                "the certificates of this service's instances are not verified: whoever is on the way can read and change everything"
            )
                == true)
    }

    @Test func `the older word that nothing is skipped leaves verification on`() throws {
        let (service, warnings) = try service("instances: [{url: \"https://h\"}], tls: {insecure_skip_verify: false}")
        #expect(service.tls?.verify == true)
        #expect(warnings == [])
    }

    @Test func `tls of a service without an https instance is warned about, and is not there`() throws {
        let (service, warnings) = try service("instances: [{url: \"http://h\"}], tls: {verify: false}")
        #expect(service.tls == nil)
        #expect(warnings == ["t.yaml:2:48: warning: services.s.tls: has no effect: no instance has an https:// url"])
    }

    @Test func `the same address over http and over https is two instances`() throws {
        let (service, warnings) = try service("instances: [{url: \"http://h:8443\"}, {url: \"https://h:8443\"}]")
        #expect(warnings == [])
        #expect(service.instances.map(\.id) == ["h:8443", "https://h:8443"])
        #expect(service.instances.map(\.hostField) == ["h:8443", "h:8443"])
    }

    @Test func `the port of its own scheme is left out of Host, that of the other one is not`() throws {
        let (service, _) = try service("instances: [{url: \"http://h:443\"}, {url: \"https://h:80\"}, {url: \"https://h:443\"}]")
        #expect(service.instances.map(\.hostField) == ["h:443", "h:80", "h"])
    }
}
