import Primitives

/// A value of the file that has the right shape: read, in range, `${…}` carried out. What it refers to is not looked up yet.
struct Value {
    var mark: Mark
    var trail: KeyTrail
    var content: Content
    /// The text as it was written, where the value is not in it: it came out of the environment or a secret's file. It is what
    /// messages show.
    var written: String?

    /// The value in a message.
    func shown(_ text: String) -> String { DisplayText.of(written ?? text) }

    enum Content {
        /// Something was wrong with it and has been reported, or it is not known here (`SecretSource.isOpaque`).
        case invalid
        case text(String)
        case truth(Bool)
        case integer(Int)
        /// `auto`
        case automatic
        case duration(TimeAmount)
        /// A share or a factor, in 1/1000.
        case permille(Int)
        case rate(count: Int, per: TimeAmount)
        case listenAddress(ListenAddress)
        case instanceAddress(InstanceAddress, isSecure: Bool)
        case block(AddressBlock)
        case template([HeaderValuePiece])
        case secret(Secret)
        case logOutput(LogOutput)
        case list([Value])
        case object([Entry], enabled: Bool)
    }

    struct Entry {
        var key: String
        var keyMark: Mark
        var value: Value
    }

    /// False when the block says `enabled: false`.
    var isEnabled: Bool {
        if case .object(_, let enabled) = content { return enabled }
        return true
    }

    var isInvalid: Bool {
        if case .invalid = content { return true }
        return false
    }

    var entries: [Entry] {
        if case .object(let entries, _) = content { return entries }
        return []
    }

    /// The elements of a list; one value that stands for a list of one counts as such.
    var elements: [Value] {
        switch content {
        case .list(let elements): elements
        case .invalid: []
        default: [self]
        }
    }

    /// Whether something in it is invalid, at any depth.
    var holdsInvalid: Bool {
        switch content {
        case .invalid: true
        case .list(let elements): elements.contains(where: \.holdsInvalid)
        case .object(let entries, _): entries.contains(where: \.value.holdsInvalid)
        default: false
        }
    }

    var isEmptyList: Bool {
        if case .list(let elements) = content { return elements.isEmpty }
        return false
    }

    /// The value of a key, unless it is missing or invalid.
    subscript(_ key: String) -> Value? {
        for entry in entries where entry.key == key {
            return entry.value.isInvalid ? nil : entry.value
        }
        return nil
    }

    /// The value of a key that is a block which is not switched off.
    func block(_ key: String) -> Value? {
        guard let value = self[key], value.isEnabled else { return nil }
        return value
    }

    func entry(_ key: String) -> Entry? { entries.first { $0.key == key } }

    // Inlined, these crash the optimiser of Swift 6.3 (CopyPropagation) where an optional value is chained to them.

    @inline(never) var text: String? {
        if case .text(let text) = content { return text }
        return nil
    }

    @inline(never) var truth: Bool? {
        if case .truth(let truth) = content { return truth }
        return nil
    }

    @inline(never) var integer: Int? {
        if case .integer(let integer) = content { return integer }
        return nil
    }

    @inline(never) var permille: Int? {
        if case .permille(let permille) = content { return permille }
        return nil
    }

    @inline(never) var secret: Secret? {
        if case .secret(let secret) = content { return secret }
        return nil
    }

    @inline(never) var duration: TimeAmount? {
        if case .duration(let duration) = content { return duration }
        return nil
    }

    var count: AutomaticCount? {
        switch content {
        case .automatic: .automatic
        case .integer(let n): .fixed(n)
        default: nil
        }
    }

    var addressBlock: AddressBlock? {
        if case .block(let block) = content { return block }
        return nil
    }

    var template: [HeaderValuePiece]? {
        if case .template(let pieces) = content { return pieces }
        return nil
    }

    var logOutput: LogOutput? {
        if case .logOutput(let output) = content { return output }
        return nil
    }
}
