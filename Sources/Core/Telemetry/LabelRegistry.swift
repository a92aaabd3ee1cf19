import Primitives

/// Gives each name of a configuration an id that it keeps over reloads.
///
/// This is how counters live through a reload: workers count by id, a name that is in the old and the new configuration has one
/// id, and requests that end under the old configuration count where they always did. A name that is no longer configured keeps
/// its id, and its series stay visible, for ten minutes; when it comes back later, it begins anew with another id. Ids are
/// never used twice.
struct LabelRegistry: Sendable {
    private struct Entry: Sendable {
        var name: String
        /// Of an instance: the id of its service.
        var owner: UInt32
        /// When the name left the configuration; nil while it is in it.
        var removed: Instant?
    }

    private struct Key: Hashable {
        var name: String
        var owner: UInt32
    }

    private var ids: [[Key: UInt32]] = LabelKind.allCases.map { _ in [:] }
    private var entries: [[UInt32: Entry]] = LabelKind.allCases.map { _ in [:] }
    private var nextID: [UInt32] = LabelKind.allCases.map { _ in Label.firstID }
    private let lifetime: TimeAmount

    init(lifetime: TimeAmount) { self.lifetime = lifetime }

    /// Labels for the names of a new configuration. Those of the old one that are not in it begin to expire.
    mutating func adopt(_ names: MetricsLabels.Names, generation: UInt64, at now: Instant) -> MetricsLabels {
        expire(at: now)
        for kind in LabelKind.allCases {
            for id in Array(entries[kind.rawValue].keys) where entries[kind.rawValue][id]?.removed == nil {
                entries[kind.rawValue][id]?.removed = now
            }
        }
        let services = labels(names.services.map { Key(name: $0, owner: 0) }, .service)
        let owned = names.instances.map { instance in
            let owner = services.indices.contains(instance.service) ? services[instance.service].id : 0
            return Key(name: instance.name, owner: owner)
        }
        let labels = [
            labels(names.listeners.map { Key(name: $0, owner: 0) }, .listener),
            labels(names.routes.map { Key(name: $0, owner: 0) }, .route),
            services,
            labels(owned, .instance),
        ]
        return MetricsLabels(generation: generation, names: names, labels: labels, known: known)
    }

    private mutating func labels(_ keys: [Key], _ kind: LabelKind) -> [Label] {
        keys.enumerated().map { Label(id: id($1, kind), index: UInt32(clamping: $0)) }
    }

    private mutating func id(_ key: Key, _ kind: LabelKind) -> UInt32 {
        if key.name.isEmpty { return Label.none.id }
        if key.name == PrometheusText.overflow { return Label.overflow.id }
        if let id = ids[kind.rawValue][key] {
            entries[kind.rawValue][id]?.removed = nil
            return id
        }
        let id = nextID[kind.rawValue]
        guard id <= kind.idMax else { return Label.overflow.id }
        nextID[kind.rawValue] = id + 1
        ids[kind.rawValue][key] = id
        entries[kind.rawValue][id] = Entry(name: key.name, owner: key.owner, removed: nil)
        return id
    }

    /// The id that a name has now; nil for one that is not known, or no longer.
    func known(_ name: String, owner: UInt32 = 0, _ kind: LabelKind) -> UInt32? {
        if name.isEmpty { return Label.none.id }
        if name == PrometheusText.overflow { return Label.overflow.id }
        return ids[kind.rawValue][Key(name: name, owner: owner)]
    }

    /// Forgets names that left the configuration long enough ago.
    mutating func expire(at now: Instant) {
        for kind in LabelKind.allCases {
            for (id, entry) in entries[kind.rawValue] {
                guard let removed = entry.removed, now >= removed + lifetime else { continue }
                entries[kind.rawValue][id] = nil
                ids[kind.rawValue][Key(name: entry.name, owner: entry.owner)] = nil
            }
        }
    }

    var known: KnownLabels {
        var known = KnownLabels()
        for kind in LabelKind.allCases {
            for id in entries[kind.rawValue].keys { known.insert(id, kind) }
        }
        return known
    }

    /// The text for a label; empty for no name.
    func name(_ id: UInt32, _ kind: LabelKind) -> String {
        if id == Label.overflow.id { return PrometheusText.overflow }
        return entries[kind.rawValue][id]?.name ?? ""
    }
}
