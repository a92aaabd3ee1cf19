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
                diagnostics.error(name.mark, name.trail, "the name \"\(text)\" is taken by \(first.text)")
            }
            guard element.isEnabled else { continue }
            isAnyOn = true
            checkProtocols(element["protocols"])
            guard let place = element["address"], case .listenAddress(let address) = place.content,
                let name = element["name"]?.text
            else { continue }
            if !address.isAnyPort, let first = addresses.updateValue(place.trail, forKey: address) {
                diagnostics.error(place.mark, place.trail, "the address \(address.text) is taken by \(first.text)")
            }
            var own = configuration.limits
            if let given = element.block("limits") { own = limits(given, over: own) }
            configuration.listeners.append(ListenerConfiguration(name: name, address: address, limits: own))
            places.listeners.append(LoadResult.Place(mark: place.mark, path: place.trail.text))
        }
        if !isAnyOn { diagnostics.error(value.mark, value.trail, "needs at least one listener that is enabled") }
    }

    private mutating func checkProtocols(_ value: Value?) {
        guard let value else { return }
        for element in value.elements {
            guard let text = element.text, text != "http/1.1" else { continue }
            diagnostics.withoutEffect("the protocol \(text)", element.mark, element.trail)
        }
        if !value.elements.contains(where: { $0.text == "http/1.1" || $0.isInvalid }) {
            diagnostics.error(value.mark, value.trail, "must name http/1.1, the only protocol of this version")
        }
    }

    mutating func buildAdmin(_ value: Value?, listeners: Value?) {
        var admin = AdminConfiguration()
        if let value {
            admin.enabled = value.isEnabled
            if case .secret(let token)? = value["token"]?.content { admin.token = token }
            if case .listenAddress(let address)? = value["address"]?.content { admin.address = address }
            let mark = value["address"]?.mark ?? value.mark
            let trail = value["address"]?.trail ?? value.trail.appending("address")
            places.admin = LoadResult.Place(mark: mark, path: trail.text)
            let hasToken = value.entry("token") != nil
            if admin.enabled, !admin.address.isLocal, !hasToken {
                diagnostics.error(mark, trail, "\(admin.address.text) can be reached by other machines and needs admin.token")
            }
        }
        configuration.admin = admin
        guard admin.enabled, !admin.address.isAnyPort else { return }
        for (i, listener) in configuration.listeners.enumerated() where listener.address == admin.address {
            let place = value == nil ? places.listeners[i] : places.admin
            let other = value == nil ? "the admin listener" : places.listeners[i].path
            diagnostics.append(
                Diagnostic(
                    .error, mark: place.mark, path: place.path, message: "the address \(admin.address.text) is taken by \(other)")
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
