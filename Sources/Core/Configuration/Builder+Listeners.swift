import Primitives

/// Listeners and the admin listener.
extension Builder {
    mutating func buildListeners(_ value: Value?) {
        guard let value else { return }
        var names: [String: KeyTrail] = [:]
        var addresses: [ListenAddress: KeyTrail] = [:]
        var isAnyOn = false
        for element in value.elements {
            if let name = element["name"], let text = name.text, let first = names.updateValue(name.trail, forKey: text) {
                diagnostics.error(name.mark, name.trail, "the name \"\(name.shown(text))\" is taken by \(first.text)")
            }
            guard element.isEnabled else { continue }
            isAnyOn = true
            let tls = element.block("tls").map { serverTLS($0) }
            let protocols = listenerProtocols(element["protocols"], of: element)
            var http2 = HTTP2Configuration()
            if let entry = element.entry("http2") { http2 = http2Limits(entry, of: element, protocols) }
            guard let place = element["address"], case .listenAddress(let address) = place.content,
                let name = element["name"]?.text
            else { continue }
            if !address.isAnyPort, let first = addresses.updateValue(place.trail, forKey: address) {
                diagnostics.error(place.mark, place.trail, "the address \(place.shown(address.text)) is taken by \(first.text)")
            }
            var own = configuration.limits
            if let given = element.block("limits") { own = limits(given, over: own) }
            var listener = ListenerConfiguration(name: name, address: address, limits: own)
            if let given = element.block("proxy_protocol") { listener.proxyProtocol = proxyTrusted(given, address) }
            listener.protocols = protocols
            listener.tls = tls?.tls
            listener.http2 = http2
            configuration.listeners.append(listener)
            places.listenerTLS.append(tls?.places)
            places.listeners.append(LoadResult.Place(mark: place.mark, path: place.trail.text))
        }
        if !isAnyOn { diagnostics.error(value.mark, value.trail, "needs at least one listener that is enabled") }
    }

    /// Who may send PROXY headers: anybody else could call himself what he likes.
    private mutating func proxyTrusted(_ value: Value, _ address: ListenAddress) -> [AddressBlock] {
        let given = value["trusted"]
        let trusted = given?.elements.compactMap(\.addressBlock) ?? configuration.server.trustedProxies
        if case .tcp = address, trusted.isEmpty, knowsAll, given?.elements.isEmpty ?? (value.entry("trusted") == nil) {
            diagnostics.error(
                given?.mark ?? value.mark, given?.trail ?? value.trail,
                "nobody is trusted to send PROXY headers; set trusted here, or server.trusted_proxies")
        }
        return trusted
    }

    mutating func buildAdmin(_ value: Value?, listeners: Value?) {
        var admin = AdminConfiguration()
        if let value {
            admin.enabled = value.isEnabled
            if case .secret(let token)? = value["token"]?.content { admin.token = token }
            admin.hosts = value["hosts"]?.elements.compactMap(\.text) ?? []
            set(&admin.metrics, value["metrics"]?.truth)
            if let (tls, tlsPlaces) = value.block("tls").map({ serverTLS($0) }) {
                admin.tls = tls
                places.adminTLS = tlsPlaces
            }
            if case .listenAddress(let address)? = value["address"]?.content { admin.address = address }
            let mark = value["address"]?.mark ?? value.mark
            let trail = value["address"]?.trail ?? value.trail.appending("address")
            places.admin = LoadResult.Place(mark: mark, path: trail.text)
            let hasToken = value.entry("token") != nil
            let shown = value["address"]?.shown(admin.address.text) ?? admin.address.text
            let isGuarded = hasToken || admin.tls?.requiresClientCertificate == true
            // What is wrong with the authorities has been said.
            let auth = value.block("tls")?.block("client_auth")
            let isKnown = value.entry("tls")?.value.holdsInvalid != true && (auth == nil || admin.tls?.clientAuth != nil)
            if admin.enabled, !admin.address.isLocal, !isGuarded, isKnown {
                diagnostics.error(
                    mark, trail,
                    "\(shown) can be reached by other machines and needs admin.token, or admin.tls with client_auth: {mode: require}"
                )
            }
            if admin.enabled, let token = value["token"] { checkToken(token, admin, shown) }
        }
        configuration.admin = admin
        if knowsAll { checkAdminAddress(admin, isWritten: value != nil, value?["address"]?.written) }
    }

    private mutating func checkToken(_ value: Value, _ admin: AdminConfiguration, _ address: String) {
        let bytes = admin.token.bytes.count
        guard bytes > 0, bytes < Defaults.adminTokenBytes else { return }
        let few = "a token of \(bytes) bytes can be guessed; at least \(Defaults.adminTokenBytes)"
        if admin.address.isLocal {
            diagnostics.warning(value.mark, value.trail, "\(few) are better")
        } else {
            diagnostics.error(
                value.mark, value.trail, "\(few) are needed, since \(address) can be reached by other machines")
        }
    }

    private mutating func checkAdminAddress(_ admin: AdminConfiguration, isWritten: Bool, _ written: String?) {
        guard admin.enabled, !admin.address.isAnyPort else { return }
        for (i, listener) in configuration.listeners.enumerated() where listener.address == admin.address {
            let place = isWritten ? places.admin : places.listeners[i]
            let other = !isWritten ? "the admin listener" : places.listeners[i].path
            diagnostics.append(
                Diagnostic(
                    .error, mark: place.mark, path: place.path,
                    message: "the address \(DisplayText.of(written ?? admin.address.text)) is taken by \(other)")
            )
        }
    }
}

extension ListenAddress {
    /// Whether the kernel chooses the port, so that two such addresses differ.
    fileprivate var isAnyPort: Bool {
        if case .tcp(_, port: 0) = self { return true }
        return false
    }
}
