import Primitives

/// Finds the differences between two configurations.
struct ConfigurationComparison {
    private(set) var list: [ConfigurationChange] = []
    private let old: GatewayConfiguration
    private let new: GatewayConfiguration

    init(_ old: GatewayConfiguration, _ new: GatewayConfiguration) {
        self.old = old
        self.new = new
    }

    mutating func run() {
        compare(ConfigurationLines.process(old), ConfigurationLines.process(new), below: "")
        let limits = changes(ConfigurationLines.limits(old.limits), ConfigurationLines.limits(new.limits))
        listeners(limits)
        middlewares()
        let inherited = services()
        routes(inherited)
    }

    // Values.

    /// What a value changed from and to, by its path.
    private struct Inherited: Equatable {
        var from: String?
        var to: String?
    }

    private func changes(_ old: [ConfigurationLine], _ new: [ConfigurationLine]) -> [String: Inherited] {
        var result: [String: Inherited] = [:]
        ConfigurationLine.pairs(old, new) { path, from, to in
            result[path] = Inherited(from: from?.text, to: to?.text)
        }
        return result
    }

    /// - Parameter inherited: Changes that stand elsewhere already.
    private mutating func compare(
        _ old: [ConfigurationLine], _ new: [ConfigurationLine], below prefix: String, except inherited: [String: Inherited] = [:]
    ) {
        ConfigurationLine.pairs(old, new) { path, from, to in
            if let known = inherited[path], known == Inherited(from: from?.text, to: to?.text) { return }
            let kind: ConfigurationChange.Kind = from == nil ? .added : to == nil ? .removed : .changed
            list.append(ConfigurationChange(kind: kind, path: prefix + path, from: from?.shown, to: to?.shown))
        }
    }

    /// Goes through two lists by name: those that stay or are new in the order of the new one, then those that are gone.
    private mutating func byName<T>(
        _ old: [T], _ new: [T], _ block: String, _ name: (T) -> String,
        _ both: (inout ConfigurationComparison, T, T, String) -> Void
    ) {
        var before: [String: T] = [:]
        before.reserveCapacity(old.count)
        for element in old { before[name(element)] = element }
        for element in new {
            let path = "\(block).\(name(element))"
            if let first = before.removeValue(forKey: name(element)) {
                both(&self, first, element, path)
            } else {
                list.append(ConfigurationChange(kind: .added, path: path))
            }
        }
        for element in old where before[name(element)] != nil {
            list.append(ConfigurationChange(kind: .removed, path: "\(block).\(name(element))"))
        }
    }

    // Blocks.

    private mutating func listeners(_ limits: [String: Inherited]) {
        byName(old.listeners, new.listeners, "listeners", \.name) { comparison, before, after, path in
            guard before != after else { return }
            comparison.compare(
                ConfigurationLines.listener(before), ConfigurationLines.listener(after), below: path + ".", except: limits)
        }
    }

    private mutating func middlewares() {
        byName(old.middlewares, new.middlewares, "middlewares", \.name) { comparison, before, after, path in
            guard before != after else { return }
            comparison.compare(ConfigurationLines.middleware(before), ConfigurationLines.middleware(after), below: path + ".")
        }
    }

    /// What changed in each service of what its routes take over: timeouts and the breaker.
    private mutating func services() -> [String: [String: Inherited]] {
        var inherited: [String: [String: Inherited]] = [:]
        let (old, new) = (old, new)
        let places = ConfigurationComparison.places(old.services.map(\.name), new.services.map(\.name))
        byName(old.services, new.services, "services", \.name) { comparison, before, after, path in
            // As it would stand in the new file, whose numbers differ where something was put in before.
            var moved = before
            moved.fallback = ConfigurationComparison.moved(before.fallback, places)
            guard moved != after else { return }
            comparison.compare(
                ConfigurationLines.service(before, in: old), ConfigurationLines.service(after, in: new), below: path + ".")
            comparison.byName(before.instances, after.instances, path + ".instances", \.id) {
                inner, before, after, path in
                guard before != after else { return }
                inner.compare(ConfigurationLines.instance(before), ConfigurationLines.instance(after), below: path + ".")
            }
            if before.timeouts != after.timeouts || before.breaker != after.breaker {
                inherited[after.name] = comparison.changes(
                    ConfigurationLines.inherited(before), ConfigurationLines.inherited(after))
            }
        }
        return inherited
    }

    private static func moved(_ fallback: FallbackConfiguration?, _ places: [Int]) -> FallbackConfiguration? {
        if case .service(let index)? = fallback { .service(places[index]) } else { fallback }
    }

    private mutating func routes(_ changed: [String: [String: Inherited]]) {
        let (old, new) = (old, new)
        let middlewares = ConfigurationComparison.places(old.middlewares.map(\.name), new.middlewares.map(\.name))
        let services = ConfigurationComparison.places(old.services.map(\.name), new.services.map(\.name))
        byName(old.routes, new.routes, "routes", \.name) { comparison, before, after, path in
            // As it would stand in the new file, whose numbers differ where something was put in before.
            var moved = before
            moved.middlewares = before.middlewares.map { middlewares[$0] }
            if case .service(let index) = before.action { moved.action = .service(services[index]) }
            moved.fallback = ConfigurationComparison.moved(before.fallback, services)
            guard moved != after else { return }
            var inherited: [String: Inherited] = [:]
            if case .service(let index) = after.action { inherited = changed[new.services[index].name] ?? [:] }
            comparison.compare(
                ConfigurationLines.route(before, in: old), ConfigurationLines.route(after, in: new), below: path + ".",
                except: inherited)
        }
    }

    /// Where each of `old` stands in `new`; -1 where it is gone.
    private static func places(_ old: [String], _ new: [String]) -> [Int] {
        var places: [String: Int] = [:]
        for (i, name) in new.enumerated() { places[name] = i }
        return old.map { places[$0] ?? -1 }
    }
}
