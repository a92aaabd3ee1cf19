/// What clients get when a service cannot answer.
extension Builder {
    /// A fallback to another service, from the one of this index in the configuration.
    struct FallbackLink {
        var target: Int
        /// The name, where it is written.
        var name: Value
    }

    /// A name that is looked up when every service is known.
    struct PendingFallback {
        var service: Int
        var name: Value
        /// Whether the block or its service is switched off: it is checked, and leads nowhere.
        var isOff: Bool
        var isInForce: Bool
    }

    /// The fallback of a service, if it is an answer; another service is kept in `pendingFallbacks`.
    mutating func fallback(_ value: Value, of service: Int, isOff: Bool) -> FallbackConfiguration? {
        if let name = value["service"] {
            pendingFallbacks.append(
                PendingFallback(service: service, name: name, isOff: isOff || !value.isEnabled, isInForce: value.isEnabled))
        }
        let answer = fallbackAnswer(value)
        return value.isEnabled ? answer : nil
    }

    private mutating func fallbackAnswer(_ value: Value) -> FallbackConfiguration? {
        let answers = Schema.respond.keys.filter { value.entry($0.name) != nil }
        if value.entry("service") != nil {
            for key in answers {
                guard let entry = value.entry(key.name) else { continue }
                diagnostics.error(entry.keyMark, entry.value.trail, "cannot stand beside \"service\"")
            }
            return nil
        }
        guard !answers.isEmpty else { return nil }
        for key in Schema.respond.keys { derive(value.trail, key.name, key.defaultText) }
        return .response(fixedResponse(value))
    }

    /// Looks up the services that others name, and refuses those that lead back.
    mutating func resolveFallbacks() {
        var links: [Int: FallbackLink] = [:]
        for pending in pendingFallbacks {
            guard let target = fallbackTarget(pending.name, isOff: pending.isOff) else { continue }
            guard pending.isInForce else { continue }
            links[pending.service] = FallbackLink(target: target.index, name: pending.name)
            if target.answers { configuration.services[pending.service].fallback = .service(target.index) }
        }
        fallbackLinks = links
        var settled: Set<Int> = []
        for start in configuration.services.indices {
            var path: [Int] = []
            var places: [Int: Int] = [:]
            var service = start
            while !settled.contains(service), places[service] == nil, let link = links[service] {
                places[service] = path.count
                path.append(service)
                service = link.target
            }
            if let first = places[service] { reportLoop(Array(path[first...])) }
            settled.formUnion(path)
        }
    }

    /// - Returns: nil where there is none of that name, which has been reported; `answers` is false where it would only say that
    ///   it is switched off or under maintenance.
    private mutating func fallbackTarget(_ value: Value, isOff: Bool) -> (index: Int, answers: Bool)? {
        guard let name = value.text, let (index, maintenance) = service(value, name) else { return nil }
        guard case .on = maintenance else { return (index, true) }
        if !isOff {
            let isOn = configuration.services[index].enabled
            diagnostics.warning(
                value.mark, value.trail,
                "the service \"\(value.shown(name))\" is \(isOn ? "under maintenance" : "switched off"): there is no fallback")
        }
        return (index, false)
    }

    /// - Parameter loop: services of which each falls back to the next, and the last to the first.
    private mutating func reportLoop(_ loop: [Int]) {
        guard let least = loop.indices.min(by: { loop[$0] < loop[$1] }), let link = fallbackLinks[loop[least]] else { return }
        if loop.count == 1 {
            return diagnostics.error(link.name.mark, link.name.trail, "a service cannot be its own fallback")
        }
        let names = (loop[least...] + loop[..<least]).compactMap(fallbackName)
        let first = configuration.services[loop[least]].name
        diagnostics.error(
            link.name.mark, link.name.trail, Builder.leadsBack([first] + names))
    }

    /// Names more than a person would follow are counted.
    private static func leadsBack(_ names: [String]) -> String {
        let shown = names.count <= 12 ? names : names.prefix(8) + ["(\(names.count - 9) more)"] + names.suffix(1)
        return "these fallbacks lead back: " + shown.joined(separator: " -> ")
    }

    /// What a service calls its fallback.
    private func fallbackName(_ service: Int) -> String? {
        fallbackLinks[service].flatMap { link in link.name.text.map(link.name.shown) }
    }

    /// The fallback of a route.
    /// - Parameters:
    ///   - service: the index of the route's own, nil where it has none or it is not known.
    ///   - serviceName: as it is shown.
    mutating func routeFallback(_ value: Value, service: Int?, serviceName: String, isOff: Bool) -> FallbackConfiguration? {
        let isOff = isOff || !value.isEnabled
        let answer = fallbackAnswer(value)
        guard let name = value["service"] else { return value.isEnabled ? answer : nil }
        guard let target = fallbackTarget(name, isOff: isOff), value.isEnabled else { return nil }
        if let service, target.index == service {
            diagnostics.error(name.mark, name.trail, "a service cannot be its own fallback")
        } else if let service {
            var chain = [serviceName, name.text.map(name.shown) ?? ""]
            var seen: Set<Int> = []
            var last = target.index
            while last != service, seen.insert(last).inserted, let link = fallbackLinks[last], let next = fallbackName(last) {
                chain.append(next)
                last = link.target
            }
            // A loop that the services make by themselves has been reported.
            if last == service, fallbackLinks[service]?.target != target.index {
                diagnostics.error(name.mark, name.trail, Builder.leadsBack(chain))
            }
        }
        return target.answers ? .service(target.index) : nil
    }
}
