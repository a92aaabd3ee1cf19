import Primitives

/// The tables of keys: encryption, HTTP/2 and tunnels.
extension Schema {
    static var tls: ObjectShape {
        ObjectShape([
            Key(
                "certificates", .list(.object(certificate), count: 1...10_000), required: true,
                "Certificates with their keys. The name that the client asks for chooses; the first is for all others."),
            Key("client_auth", .object(clientAuthentication), "Whether clients show a certificate of their own."),
            Key(
                "min_version", .scalar(.word(TLSVersion.allCases.map(\.rawValue))), default: Defaults.tlsMinimumVersion.rawValue,
                "The oldest version of TLS that is spoken."),
            Key(
                "strict_sni", .scalar(.truth), default: "\(Defaults.strictSNI)",
                "Whether a client that asks for no name, or for one that no certificate is for, is refused."),
            Key(
                "session_tickets", .scalar(.truth), default: "\(Defaults.sessionTickets)",
                "Whether a client that comes back is spared the whole handshake."),
            Key(
                "ticket_rotation", .scalar(.duration(.seconds(60) ... .seconds(7 * 86_400))),
                default: AmountText.of(Defaults.ticketRotation), "How long one key encrypts session tickets."),
        ])
    }

    static var certificate: ObjectShape {
        ObjectShape(
            [
                Key("cert_file", .scalar(.file), required: true, "The certificate and its chain, PEM."),
                Key("key_file", .scalar(.file), required: true, "The private key, PEM."),
                Key(
                    "names", .list(.scalar(.hostPattern), orOne: true, count: 1...1024),
                    "Host names for which it is shown, exact or *.example.com. Left out: those that it holds."),
                Key("ocsp_file", .scalar(.file), "An OCSP response, DER, that is shown with it. Left out: none."),
                Key(
                    "client_auth", .object(clientAuthentication),
                    "What is asked of clients whom it is shown, in the place of what tls says."),
            ], canBeDisabled: false)
    }

    /// `optional` is an older word for `request`.
    static var clientAuthentication: ObjectShape {
        ObjectShape([
            Key("ca_file", .scalar(.file), required: true, "The authorities whose certificates are accepted, PEM."),
            Key(
                "mode", .scalar(.word(ClientAuthConfiguration.Mode.allCases.map(\.rawValue) + ["optional"])),
                default: Defaults.clientAuthMode.rawValue,
                "Whether a client without a certificate is refused (require) or served (request, also written optional)."),
            Key(
                "depth", .scalar(.integer(1...10)), default: "\(Defaults.clientAuthDepth)",
                "How many certificates may stand between the client's and the one in ca_file."),
            Key("crl_file", .scalar(.file), "Lists of revoked certificates, PEM. Left out: none is looked at."),
            Key(
                "forward", .scalar(.truth), default: "\(Defaults.clientAuthForwards)",
                "Whether the backend gets the certificate in Client-Cert."),
        ])
    }

    static var upstreamTLS: ObjectShape {
        ObjectShape([
            Key("ca_file", .scalar(.file), "The authorities that are trusted, PEM; left out: those of the system."),
            Key("cert_file", .scalar(.file), "The certificate that we show, PEM; needs key_file. Left out: none."),
            Key("key_file", .scalar(.file), "Its private key, PEM."),
            Key("server_name", .scalar(.hostName), "The name that is asked for and verified; left out: the host of the URL."),
            Key(
                "verify", .scalar(.truth), default: "\(Defaults.verifiesBackends)",
                "Whether the certificate and the name are verified. false is for tests, and warned about."
            ).dependent,
            Key("insecure_skip_verify", .scalar(.truth), "Older name: true is verify: false."),
            Key(
                "min_version", .scalar(.word(TLSVersion.allCases.map(\.rawValue))), default: Defaults.tlsMinimumVersion.rawValue,
                "The oldest version of TLS that is spoken."),
        ])
    }

    static var http2: ObjectShape {
        ObjectShape(
            [
                Key(
                    "max_concurrent_streams", .scalar(.integer(1...10_000)), default: "\(Defaults.http2Streams)",
                    "Requests at once on one connection; more are refused."),
                Key(
                    "initial_window", .scalar(.size(65_535...(16 << 20))),
                    default: AmountText.of(bytes: Defaults.http2StreamWindow),
                    "Bytes of one request's body that a client may send before we take some."),
                Key(
                    "connection_window", .scalar(.size(65_535...(64 << 20))),
                    default: AmountText.of(bytes: Defaults.http2ConnectionWindow),
                    "The same for all requests of a connection together."),
                Key(
                    "max_resets", .scalar(.integer(1...1_000_000)), default: "\(Defaults.http2Resets)",
                    "Requests that may be reset at once; a tenth of them come back each second. Beyond, the connection is closed."
                ),
                Key(
                    "max_control_frames", .scalar(.integer(20...1_000_000)), default: "\(Defaults.http2ControlFrames)",
                    "Frames that move nothing and may come at once; a tenth come back each second. Beyond, the connection is closed."
                ),
            ], canBeDisabled: false)
    }

    static var webSocket: ObjectShape {
        ObjectShape(
            [
                Key(
                    "origins", .list(.scalar(.origin), orOne: true, count: 0...1024), default: "[]",
                    "Sites whose pages may open a WebSocket, or *; 403 for others. Empty: those of the request's own host."),
                Key(
                    "idle_timeout", .scalar(.duration(.seconds(1) ... .seconds(30 * 86_400), off: true)),
                    default: AmountText.of(Defaults.tunnelIdleTimeout),
                    "How long a connection that has changed its protocol may be without a byte either way."),
            ], canBeDisabled: false)
    }

    static var clientCertificate: ObjectShape {
        func list(_ name: String, _ kind: ScalarKind, _ summary: String) -> Key {
            Key(name, .list(.scalar(kind), orOne: true, count: 1...10_000), summary)
        }
        return ObjectShape(
            [
                list("subjects", .text(), "Subjects, as ${client_cert_subject} writes them."),
                list("sans", .certificateName, "Other names of the certificate: DNS:…, URI:…, email:… or IP:…."),
                list("fingerprints", .fingerprint, "SHA-256 of the certificate, hexadecimal."),
            ], anyOf: ["subjects", "sans", "fingerprints"])
    }
}
