import Primitives

/// The names of one configuration, as they are looked up while requests run: labels by place in the configuration, and the text
/// of each as JSON. Made by `MetricsStore.adopt`, immutable, shared by all workers.
public final class MetricsLabels: Sendable {
    /// What a configuration calls its parts.
    public struct Names: Sendable {
        public var listeners: [String]
        public var routes: [String]
        public var services: [String]
        /// All instances of all services; the service is an index into `services`.
        public var instances: [(service: Int, name: String)]

        public init(
            listeners: [String] = [], routes: [String] = [], services: [String] = [],
            instances: [(service: Int, name: String)] = []
        ) {
            self.listeners = listeners
            self.routes = routes
            self.services = services
            self.instances = instances
        }
    }

    public let generation: UInt64
    /// In the order of the configuration, as are the others.
    public let listeners: [Label]
    public let routes: [Label]
    public let services: [Label]
    public let instances: [Label]
    /// Every id in use, those of names that went a short while ago included; what a worker holds beyond these can go.
    let known: KnownLabels
    private let listenerTexts: LabelTexts
    private let routeTexts: LabelTexts
    private let serviceTexts: LabelTexts
    private let instanceTexts: LabelTexts
    /// The longest text of each kind, together: for whoever reserves room.
    let jsonBytesMax: Int

    /// The labels of a gateway without a configuration.
    public static func empty() -> MetricsLabels {
        MetricsLabels(generation: 0, names: Names(), labels: [[], [], [], []], known: KnownLabels())
    }

    /// - Parameter labels: for each kind, one label for each name.
    init(generation: UInt64, names: Names, labels: [[Label]], known: KnownLabels) {
        self.generation = generation
        listeners = labels[LabelKind.listener.rawValue]
        routes = labels[LabelKind.route.rawValue]
        services = labels[LabelKind.service.rawValue]
        instances = labels[LabelKind.instance.rawValue]
        self.known = known
        listenerTexts = LabelTexts(names.listeners, listeners)
        routeTexts = LabelTexts(names.routes, routes)
        serviceTexts = LabelTexts(names.services, services)
        instanceTexts = LabelTexts(names.instances.map(\.name), instances)
        jsonBytesMax = listenerTexts.bytesMax + routeTexts.bytesMax + serviceTexts.bytesMax + instanceTexts.bytesMax
    }

    // The name as a JSON value, quotes included; `null` for `.none` and for a label of another configuration.

    @inline(__always)
    func write(listener label: Label, to line: inout TextCursor) { listenerTexts.write(label, to: &line) }
    @inline(__always)
    func write(route label: Label, to line: inout TextCursor) { routeTexts.write(label, to: &line) }
    @inline(__always)
    func write(service label: Label, to line: inout TextCursor) { serviceTexts.write(label, to: &line) }
    @inline(__always)
    func write(instance label: Label, to line: inout TextCursor) { instanceTexts.write(label, to: &line) }
}

/// The texts of one kind of names, one behind the other.
private struct LabelTexts: Sendable {
    private struct Entry: Sendable {
        var id: UInt32
        var offset: UInt32
        var count: UInt32
    }

    private let text: [UInt8]
    private let entries: [Entry]
    let bytesMax: Int

    /// The most bytes of a name that are shown.
    private static var nameBytesMax: Int { 256 }

    init(_ names: [String], _ labels: [Label]) {
        var buffer = ByteBuffer(capacity: 16 + names.count * 24)
        var entries: [Entry] = []
        entries.reserveCapacity(names.count)
        var longest = "null".utf8.count
        for (name, label) in zip(names, labels) {
            let offset = buffer.count
            buffer.append(ASCII.quote)
            JSONText.append(escaping: name, limit: LabelTexts.nameBytesMax, into: &buffer)
            buffer.append(ASCII.quote)
            let count = buffer.count - offset
            longest = max(longest, count)
            entries.append(Entry(id: label.id, offset: UInt32(clamping: offset), count: UInt32(clamping: count)))
        }
        text = buffer.bytes.array()
        self.entries = entries
        bytesMax = longest
    }

    @inline(__always)
    func write(_ label: Label, to line: inout TextCursor) {
        let index = Int(label.index)
        guard index < entries.count, entries[index].id == label.id else { return line.write("null") }
        let entry = entries[index]
        line.write(text.span.bytes.extracting(Int(entry.offset)..<Int(entry.offset) &+ Int(entry.count)))
    }
}

/// The ids in use, of each kind.
struct KnownLabels: Sendable {
    private var ids: [Set<UInt32>] = LabelKind.allCases.map { _ in [] }

    mutating func insert(_ id: UInt32, _ kind: LabelKind) { ids[kind.rawValue].insert(id) }

    func contains(_ id: UInt32, _ kind: LabelKind) -> Bool { id < Label.firstID || ids[kind.rawValue].contains(id) }
}
