import Primitives

/// Host names, exact and wildcard, and what each stands for. Case does not matter; a wildcard is for one label (RFC 6125 §6.4.3).
///
/// Looking up allocates nothing and takes time for the name's length, whatever the number of names.
struct ServerNames: Sendable {
    private struct Entry {
        /// Lower case; a wildcard without its asterisk, `.example.com`.
        var name: [UInt8]
        var isWildcard: Bool
        var value: Int
        /// The next entry with the same hash.
        var next: Int?
    }

    private var entries: [Entry] = []
    private var first: [UInt64: Int] = [:]

    /// The longest name that can be asked for (RFC 1035 §2.3.4).
    private static var longest: Int { 253 }

    /// - Parameter name: as `canonical` returns it.
    mutating func add(_ name: [UInt8], _ value: Int) {
        let isWildcard = name.first == ASCII.asterisk
        let kept = isWildcard ? Array(name.dropFirst()) : name
        let hash = kept.withUnsafeBytes { Self.hash($0) }
        entries.append(Entry(name: kept, isWildcard: isWildcard, value: value, next: first[hash]))
        first[hash] = entries.count - 1
    }

    /// What was added for `name`: exactly, or else for the wildcard above it.
    func find(_ name: UnsafeRawBufferPointer) -> Int? {
        var name = name
        if name.last == ASCII.dot { name = UnsafeRawBufferPointer(rebasing: name.dropLast()) }
        guard !name.isEmpty, name.count <= Self.longest else { return nil }
        if let value = find(name, isWildcard: false) { return value }
        guard let dot = name.firstIndex(of: ASCII.dot), dot > 0 else { return nil }
        return find(UnsafeRawBufferPointer(rebasing: name[dot...]), isWildcard: true)
    }

    private func find(_ name: UnsafeRawBufferPointer, isWildcard: Bool) -> Int? {
        var at = first[Self.hash(name)]
        while let i = at {
            if entries[i].isWildcard == isWildcard, Self.isSame(entries[i].name, name) { return entries[i].value }
            at = entries[i].next
        }
        return nil
    }

    /// A name in lower case and without a final dot; nil when it is none that a client could ask for.
    static func canonical(_ name: [UInt8]) -> [UInt8]? {
        var name = name.map { ASCII.lowercased($0) }
        if name.last == ASCII.dot { name.removeLast() }
        guard !name.isEmpty, name.count <= longest else { return nil }
        let labels = name.split(separator: ASCII.dot, omittingEmptySubsequences: false)
        for (i, label) in labels.enumerated() {
            guard !label.isEmpty, label.count <= 63 else { return nil }
            if i == 0, label.elementsEqual([ASCII.asterisk]), labels.count > 1 { continue }
            guard label.allSatisfy({ ASCII.isLetter($0) || ASCII.isDigit($0) || $0 == ASCII.dash || $0 == ASCII.underscore })
            else { return nil }
        }
        return name
    }

    private static func isSame(_ lower: [UInt8], _ name: UnsafeRawBufferPointer) -> Bool {
        guard lower.count == name.count else { return false }
        for i in 0..<name.count where lower[i] != ASCII.lowercased(name[i]) { return false }
        return true
    }

    /// FNV-1a. The names of the table are the operator's, so nobody else chooses what collides.
    private static func hash(_ name: UnsafeRawBufferPointer) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in name { hash = (hash ^ UInt64(ASCII.lowercased(byte))) &* 0x100_0000_01b3 }
        return hash
    }
}
