import Primitives

/// Encryption and HTTP/2, for comparing two configurations. The contents of files are not looked at here.
extension ConfigurationLines {
    static func tls(_ path: String, _ tls: TLSServerConfiguration) -> [ConfigurationLine] {
        var lines: [ConfigurationLine] = []
        for (i, certificate) in tls.certificates.enumerated() {
            let path = "\(path).certificates[\(i)]"
            lines += [
                ConfigurationLine("\(path).cert_file", certificate.certFile),
                ConfigurationLine("\(path).key_file", certificate.keyFile),
                ConfigurationLine("\(path).names", text(certificate.names)),
            ]
            if let file = certificate.ocspFile { lines.append(ConfigurationLine("\(path).ocsp_file", file)) }
            if let auth = certificate.clientAuth { lines += clientAuth("\(path).client_auth", auth) }
        }
        if let auth = tls.clientAuth { lines += clientAuth("\(path).client_auth", auth) }
        return lines + [
            ConfigurationLine("\(path).min_version", tls.minimumVersion.rawValue),
            ConfigurationLine("\(path).strict_sni", "\(tls.strictSNI)"),
            ConfigurationLine("\(path).session_tickets", "\(tls.sessionTickets)"),
            ConfigurationLine("\(path).ticket_rotation", AmountText.of(tls.ticketRotation)),
        ]
    }

    private static func clientAuth(_ path: String, _ auth: ClientAuthConfiguration) -> [ConfigurationLine] {
        var lines = [
            ConfigurationLine("\(path).ca_file", auth.caFile), ConfigurationLine("\(path).mode", auth.mode.rawValue),
            ConfigurationLine("\(path).depth", "\(auth.depth)"), ConfigurationLine("\(path).forward", "\(auth.forwards)"),
        ]
        if let file = auth.crlFile { lines.append(ConfigurationLine("\(path).crl_file", file)) }
        return lines
    }

    static func tls(_ tls: TLSClientConfiguration) -> [ConfigurationLine] {
        let files = [
            ("ca_file", tls.caFile), ("cert_file", tls.certFile), ("key_file", tls.keyFile), ("server_name", tls.serverName),
        ]
        var lines: [ConfigurationLine] = []
        for (name, text) in files {
            if let text { lines.append(ConfigurationLine("tls.\(name)", text)) }
        }
        return lines + [
            ConfigurationLine("tls.verify", "\(tls.verify)"),
            ConfigurationLine("tls.min_version", tls.minimumVersion.rawValue),
        ]
    }

    static func http2(_ http2: HTTP2Configuration) -> [ConfigurationLine] {
        [
            ConfigurationLine("http2.max_concurrent_streams", "\(http2.maxConcurrentStreams)"),
            ConfigurationLine("http2.initial_window", AmountText.of(bytes: http2.initialWindow)),
            ConfigurationLine("http2.connection_window", AmountText.of(bytes: http2.connectionWindow)),
            ConfigurationLine("http2.max_resets", "\(http2.maxResets)"),
            ConfigurationLine("http2.max_control_frames", "\(http2.maxControlFrames)"),
        ]
    }
}
