import Primitives

/// Encryption, towards clients and towards backends.
extension Builder {
    func file(_ value: Value?) -> String? {
        guard let value, let path = value.text else { return nil }
        return value.mark.path(of: path)
    }

    /// - Parameter value: `tls` of a listener or of `admin`.
    mutating func serverTLS(_ value: Value) -> (tls: TLSServerConfiguration, places: LoadResult.TLSPlaces) {
        var tls = TLSServerConfiguration(certificates: [])
        var places = LoadResult.TLSPlaces(block: LoadResult.Place(mark: value.mark, path: value.trail.text))
        if let block = value.block("client_auth") {
            tls.clientAuth = clientAuth(block)
            places.clientAuth = LoadResult.Place(mark: block.mark, path: block.trail.text)
        }
        set(&tls.minimumVersion, word(value["min_version"]))
        set(&tls.strictSNI, value["strict_sni"]?.truth)
        set(&tls.sessionTickets, value["session_tickets"]?.truth)
        set(&tls.ticketRotation, value["ticket_rotation"]?.duration)
        if !tls.sessionTickets, let rotation = value.entry("ticket_rotation") {
            warn(rotation, "has no effect with session_tickets: false")
        }
        /// Where a name was first, and what is asked of its clients.
        var named: [String: (trail: KeyTrail, auth: ClientAuthConfiguration?)] = [:]
        for element in value["certificates"]?.elements ?? [] {
            guard let certFile = file(element["cert_file"]), let keyFile = file(element["key_file"]) else { continue }
            var certificate = CertificateConfiguration(certFile: certFile, keyFile: keyFile)
            certificate.ocspFile = file(element["ocsp_file"])
            certificate.clientAuth = element.block("client_auth").flatMap(clientAuth)
            for name in element["names"]?.elements ?? [] {
                guard let text = name.text, checkServerName(name, text) else { continue }
                certificate.names.append(text)
                let auth = tls.clientAuth(of: certificate)
                if let first = named[text], first.auth != auth {
                    diagnostics.error(
                        name.mark, name.trail,
                        "\"\(name.shown(text))\" stands at \(first.trail.text) with another client_auth; a client can offer either "
                            + "kind of key, so that both must ask the same of it")
                } else if named[text] == nil {
                    named[text] = (name.trail, auth)
                }
            }
            tls.certificates.append(certificate)
            let place = element["cert_file"] ?? element
            places.certificates.append(LoadResult.Place(mark: place.mark, path: place.trail.text))
        }
        return (tls, places)
    }

    /// Whether clients can ask for this name: a host name (RFC 6066 §3).
    private mutating func checkServerName(_ value: Value, _ text: String) -> Bool {
        if text == "*" {
            diagnostics.error(
                value.mark, value.trail, "the first certificate is for all other names; leave names out, or name hosts")
            return false
        }
        guard IPAddress(text) != nil || text.hasPrefix("[") else { return true }
        diagnostics.error(value.mark, value.trail, "clients ask for host names, never for an address (RFC 6066 §3)")
        return false
    }

    /// - Returns: nil where the authorities are missing, which has been reported.
    private func clientAuth(_ value: Value) -> ClientAuthConfiguration? {
        guard let caFile = file(value["ca_file"]) else { return nil }
        var auth = ClientAuthConfiguration(caFile: caFile)
        if let text = value["mode"]?.text { auth.mode = ClientAuthConfiguration.Mode(rawValue: text) ?? .request }
        set(&auth.depth, value["depth"]?.integer)
        auth.crlFile = file(value["crl_file"])
        set(&auth.forwards, value["forward"]?.truth)
        return auth
    }

    // Listeners.

    mutating func listenerProtocols(_ value: Value?, of listener: Value) -> ListenerProtocols {
        /// Nil where something is wrong with the block.
        var overTLS: Bool? = false
        if let block = listener.entry("tls")?.value { overTLS = block.isInvalid ? nil : block.isEnabled }
        let standard = ListenerProtocols.standard(overTLS: overTLS ?? true)
        derive(listener.trail, "protocols", "[\(standard.names.map(\.rawValue).joined(separator: ", "))]")
        var names: [ListenerProtocols.Name] = []
        for element in value?.elements ?? [] {
            guard let name: ListenerProtocols.Name = word(element) else { continue }
            if names.contains(name) {
                diagnostics.error(element.mark, element.trail, "\(element.shown(name.rawValue)) is named twice")
            } else if case .h2c = name, overTLS == true {
                diagnostics.error(
                    element.mark, element.trail, "h2c is HTTP/2 without encryption, and the listener has tls; over TLS it is h2")
            } else if case .h2 = name, overTLS == false {
                diagnostics.error(
                    element.mark, element.trail,
                    "h2 is HTTP/2 over TLS, and the listener has no tls; add it, or say h2c for HTTP/2 without encryption")
            } else {
                names.append(name)
            }
        }
        return names.isEmpty ? standard : ListenerProtocols(names)
    }

    mutating func http2Limits(
        _ entry: Value.Entry, of listener: Value, _ protocols: ListenerProtocols
    ) -> HTTP2Configuration {
        let value = entry.value
        var http2 = HTTP2Configuration()
        set(&http2.maxConcurrentStreams, value["max_concurrent_streams"]?.integer)
        set(&http2.initialWindow, value["initial_window"]?.integer)
        set(&http2.connectionWindow, value["connection_window"]?.integer)
        set(&http2.maxResets, value["max_resets"]?.integer)
        set(&http2.maxControlFrames, value["max_control_frames"]?.integer)
        if !protocols.h2, !protocols.h2c, !hasInvalid(listener, ["protocols", "tls"]) {
            warn(entry, "has no effect without h2 or h2c in protocols")
        }
        if http2.connectionWindow < http2.initialWindow, !hasInvalid(value, ["initial_window", "connection_window"]) {
            let place = value["initial_window"] ?? value["connection_window"] ?? value
            let limit = value["connection_window"]?.shown(AmountText.of(bytes: http2.connectionWindow))
            diagnostics.warning(
                place.mark, place.trail,
                "a request cannot use its initial_window where connection_window is smaller "
                    + "(\(limit ?? AmountText.of(bytes: http2.connectionWindow)))")
        }
        return http2
    }

    // Services.

    /// - Parameter value: `tls` of a service, or nil where it is not written or is switched off.
    mutating func clientTLS(_ value: Value?) -> TLSClientConfiguration {
        var tls = TLSClientConfiguration()
        guard let value else { return tls }
        tls.caFile = file(value["ca_file"])
        tls.certFile = file(value["cert_file"])
        tls.keyFile = file(value["key_file"])
        for (key, other) in [("cert_file", "key_file"), ("key_file", "cert_file")] {
            guard let entry = value.entry(key), value.entry(other) == nil else { continue }
            diagnostics.error(entry.keyMark, entry.value.trail, "needs \(other) beside it")
        }
        if let name = value["server_name"]?.text {
            tls.serverName = name.hasPrefix("[") ? String(name.dropFirst().dropLast()) : name
        }
        set(&tls.minimumVersion, word(value["min_version"]))
        if let older = value.entry("insecure_skip_verify") {
            if value.entry("verify") != nil {
                diagnostics.error(older.keyMark, older.value.trail, "is an older name of verify, which stands beside it")
            }
            if let skips = older.value.truth { tls.verify = !skips }
        }
        set(&tls.verify, value["verify"]?.truth)
        if value.entry("insecure_skip_verify") == nil { derive(value.trail, "verify", "\(tls.verify)") }
        return tls
    }

    /// What is wrong between `tls` and the instances of a service that is switched on.
    mutating func checkClientTLS(_ service: Value, _ tls: TLSClientConfiguration, isAnySecure: Bool) {
        guard let block = service.block("tls"), let entry = service.entry("tls") else { return }
        if !isAnySecure {
            if knowsAll, let list = service["instances"], !list.elements.contains(where: { $0["url"] == nil }) {
                warn(entry, "has no effect: no instance has an https:// url")
            }
            return
        }
        guard !tls.verify, let written = block.entry("verify") ?? block.entry("insecure_skip_verify") else { return }
        diagnostics.warning(
            written.value.mark, written.value.trail,
            "the certificates of this service's instances are not verified: whoever is on the way can read and change everything")
    }
}
