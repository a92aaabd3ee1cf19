import Primitives

/// Connections that change their protocol, and clients known by their certificates.
extension Builder {
    /// - Returns: what clients may change to, and what counts for them where they may.
    mutating func upgrade(_ value: Value, isOff: Bool) -> (protocols: [String], webSocket: WebSocketConfiguration?) {
        var protocols: [String] = []
        for element in value["upgrade"]?.elements ?? [] {
            guard let name = element.text else { continue }
            if protocols.contains(name) {
                diagnostics.error(element.mark, element.trail, "\(element.shown(name)) is named twice")
            } else {
                protocols.append(name)
            }
        }
        var webSocket = WebSocketConfiguration()
        if let block = value["websocket"] {
            webSocket.origins = block["origins"]?.elements.compactMap(\.text) ?? []
            set(&webSocket.idleTimeout, block["idle_timeout"]?.duration)
            if !isOff, value.entry("service") != nil { checkWebSocket(value, block, protocols) }
        }
        return (protocols, protocols.isEmpty ? nil : webSocket)
    }

    private mutating func checkWebSocket(_ route: Value, _ block: Value, _ protocols: [String]) {
        if let null = block["origins"]?.elements.first(where: { $0.text == "null" }) {
            diagnostics.warning(null.mark, null.trail, "null is the origin of every sandboxed page, whoever wrote it")
        }
        guard route.entry("upgrade")?.value.isInvalid != true, !hasInvalid(route, ["upgrade"]) else { return }
        if protocols.isEmpty, let entry = route.entry("websocket") {
            warn(entry, "has no effect without upgrade: [websocket]")
        } else if !protocols.contains("websocket"), let origins = block.entry("origins") {
            warn(origins, "has no effect without websocket in upgrade")
        }
    }

    /// A rule on certificates that nobody is asked for lets nobody in.
    mutating func checkClientCertificates() {
        guard knowsAll, !diagnostics.hasErrors else { return }
        let isAsked = configuration.listeners.contains { listener in
            guard let tls = listener.tls else { return false }
            return tls.asksForClientCertificate
        }
        if isAsked { return }
        for (index, middleware) in configuration.middlewares.enumerated() {
            guard case .clientCertificate = middleware.kind, let place = places.middlewares[middleware.name],
                configuration.routes.contains(where: { $0.middlewares.contains(index) })
            else { continue }
            diagnostics.append(
                Diagnostic(
                    .warning, mark: place.mark, path: place.path,
                    message: "no listener asks clients for a certificate (tls.client_auth): every request gets 403"))
        }
    }
}
