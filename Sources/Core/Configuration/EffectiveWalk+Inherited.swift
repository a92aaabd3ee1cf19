/// Values that stand elsewhere when they are left out: in the file's limits, or in the route's service.
extension EffectiveWalk {
    func listener(_ members: [(String, EffectiveValue)], _ file: Members) -> [(String, EffectiveValue)] {
        withHTTP2(members).map { name, value in
            switch (name, value) {
            case ("limits", .mapping(let own)):
                return (name, filled(own, from: file.byName["limits"], Schema.limits(ofListener: true)))
            case ("proxy_protocol", .mapping(let own)) where !own.contains { $0.0 == "trusted" }:
                guard case .mapping(let server)? = file.byName["server"], !isOff(own),
                    let trusted = server.first(where: { $0.0 == "trusted_proxies" })?.1
                else { return (name, value) }
                return (name, .mapping([("trusted", trusted)] + own))
            default: return (name, value)
            }
        }
    }

    func route(
        _ index: Int, _ members: [(String, EffectiveValue)], _ services: Members
    ) -> [(String, EffectiveValue)] {
        let members = withTunnels(members)
        let blocks = ["timeouts", "circuit_breaker"]
        guard members.contains(where: { blocks.contains($0.0) }),
            case .scalar(let name, _, _)? = members.first(where: { $0.0 == "service" })?.1,
            case .mapping(let service)? = services.byName[name]
        else { return members }
        let trail = KeyTrail.root.appending("routes").appending(index)
        return members.map { key, value in
            guard blocks.contains(key), case .mapping(let own) = value else { return (key, value) }
            let object = key == "timeouts" ? Schema.timeouts : Schema.circuitBreaker(ofRoute: true)
            return (key, filled(own, from: service.first { $0.0 == key }?.1, object, at: trail.appending(key)))
        }
    }

    /// Every listener that speaks HTTP/2 has limits for it.
    private func withHTTP2(_ members: [(String, EffectiveValue)]) -> [(String, EffectiveValue)] {
        let speaksIt = members.contains { name, value in
            if name == "protocols", case .scalars(let names, _) = value { names.contains { $0.0 != "http/1.1" } } else { false }
        }
        guard speaksIt, !isOff(members), !members.contains(where: { $0.0 == "http2" }) else { return members }
        return members + [("http2", defaults(Schema.http2, .root))]
    }

    /// Every route that lets clients change their protocol has limits for that.
    private func withTunnels(_ members: [(String, EffectiveValue)]) -> [(String, EffectiveValue)] {
        let hasUpgrade = members.contains { name, value in
            if name == "upgrade", case .scalars(let names, _) = value { !names.isEmpty } else { false }
        }
        guard hasUpgrade, !isOff(members), !members.contains(where: { $0.0 == "websocket" }) else { return members }
        return members + [("websocket", defaults(Schema.webSocket, .root))]
    }

    /// The keys of `object` that are missing in `own`, from the block that counts instead.
    private func filled(
        _ own: [(String, EffectiveValue)], from other: EffectiveValue?, _ object: ObjectShape, at trail: KeyTrail = .root
    ) -> EffectiveValue {
        if isOff(own) { return .mapping(own) }
        let given = Members(own)
        var inherited = Members(other)
        // A block that is switched off is as though it had not been written.
        if case .mapping(let members)? = other, isOff(members) { inherited = Members(defaults(object, .root)) }
        return .mapping(
            object.keys.compactMap { key in
                if let value = given.byName[key.name] { return (key.name, value) }
                if key.name == "enabled" { return nil }
                if case .refused = key.availability { return nil }
                if key.isDependent, !isWritten(key.name, in: inherited) {
                    return standard(key, trail.appending(key.name)).map { (key.name, $0) }
                }
                return inherited.byName[key.name].map { (key.name, $0) }
            })
    }

    private func isOff(_ members: [(String, EffectiveValue)]) -> Bool {
        members.contains { name, value in
            if name == "enabled", case .scalar("false", _, _) = value { true } else { false }
        }
    }

    private func isWritten(_ key: String, in members: Members) -> Bool {
        switch members.byName[key] {
        case .scalar(_, _, let source)?, .scalars(_, let source)?: source != "default"
        case .list?, .mapping?: true
        case nil: false
        }
    }
}
