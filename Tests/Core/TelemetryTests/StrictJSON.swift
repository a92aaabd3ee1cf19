/// A JSON reader that takes RFC 8259 and not a byte more: no duplicate keys, no control byte in a string, no broken UTF-8,
/// nothing behind the value.
indirect enum JSONNode: Equatable {
    case object([Member])
    case array([JSONNode])
    case string(String)
    /// As written.
    case number(String)
    case boolean(Bool)
    case null

    struct Member: Equatable {
        var key: String
        var value: JSONNode
    }

    subscript(_ key: String) -> JSONNode? {
        guard case .object(let members) = self else { return nil }
        return members.first { $0.key == key }?.value
    }

    var keys: [String] {
        guard case .object(let members) = self else { return [] }
        return members.map(\.key)
    }

    var text: String? {
        guard case .string(let text) = self else { return nil }
        return text
    }
}

struct JSONFault: Error {
    var offset: Int
    var what: String
}

struct StrictJSON {
    private let bytes: [UInt8]
    private var offset = 0

    static func parse(_ bytes: [UInt8]) throws -> JSONNode {
        guard String(validating: bytes, as: UTF8.self) != nil else { throw JSONFault(offset: 0, what: "not UTF-8") }
        var reader = StrictJSON(bytes)
        let node = try reader.value()
        reader.space()
        guard reader.offset == bytes.count else { throw reader.fault("something behind the value") }
        return node
    }

    static func parse(_ text: String) throws -> JSONNode { try parse(Array(text.utf8)) }

    private init(_ bytes: [UInt8]) { self.bytes = bytes }

    private func fault(_ what: String) -> JSONFault { JSONFault(offset: offset, what: what) }
    private var next: UInt8? { offset < bytes.count ? bytes[offset] : nil }

    private mutating func space() {
        while let c = next, [0x20, 0x0a, 0x0d, 0x09].contains(c) { offset += 1 }
    }

    private mutating func expect(_ c: Character) throws {
        guard next == c.asciiValue else { throw fault("expected \(c)") }
        offset += 1
    }

    private mutating func value() throws -> JSONNode {
        space()
        switch next {
        case UInt8(ascii: "{"): return try object()
        case UInt8(ascii: "["): return try array()
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .boolean(true))
        case UInt8(ascii: "f"): return try word("false", .boolean(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        default: return .number(try number())
        }
    }

    private mutating func word(_ word: String, _ node: JSONNode) throws -> JSONNode {
        guard bytes[offset...].starts(with: word.utf8) else { throw fault("no value") }
        offset += word.utf8.count
        return node
    }

    private mutating func object() throws -> JSONNode {
        try expect("{")
        var members: [JSONNode.Member] = []
        space()
        if next == UInt8(ascii: "}") {
            offset += 1
            return .object([])
        }
        while true {
            space()
            let key = try string()
            guard !members.contains(where: { $0.key == key }) else { throw fault("\(key) twice") }
            space()
            try expect(":")
            members.append(.init(key: key, value: try value()))
            space()
            if next == UInt8(ascii: ",") {
                offset += 1
                continue
            }
            try expect("}")
            return .object(members)
        }
    }

    private mutating func array() throws -> JSONNode {
        try expect("[")
        var nodes: [JSONNode] = []
        space()
        if next == UInt8(ascii: "]") {
            offset += 1
            return .array([])
        }
        while true {
            nodes.append(try value())
            space()
            if next == UInt8(ascii: ",") {
                offset += 1
                continue
            }
            try expect("]")
            return .array(nodes)
        }
    }

    private mutating func string() throws -> String {
        try expect("\"")
        var text: [UInt8] = []
        while let c = next {
            offset += 1
            switch c {
            case UInt8(ascii: "\""): return String(decoding: text, as: UTF8.self)
            case UInt8(ascii: "\\"): try escape(into: &text)
            case 0..<0x20: throw fault("a control byte in a string")
            default: text.append(c)
            }
        }
        throw fault("a string without an end")
    }

    private mutating func escape(into text: inout [UInt8]) throws {
        guard let c = next else { throw fault("an escape without an end") }
        offset += 1
        switch c {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): text.append(c)
        case UInt8(ascii: "n"): text.append(0x0a)
        case UInt8(ascii: "r"): text.append(0x0d)
        case UInt8(ascii: "t"): text.append(0x09)
        case UInt8(ascii: "b"): text.append(0x08)
        case UInt8(ascii: "f"): text.append(0x0c)
        case UInt8(ascii: "u"):
            guard offset + 4 <= bytes.count,
                let code = UInt32(String(decoding: bytes[offset..<offset + 4], as: UTF8.self), radix: 16),
                let scalar = Unicode.Scalar(code)
            else { throw fault("a bad \\u escape") }
            offset += 4
            text.append(contentsOf: String(Character(scalar)).utf8)
        default: throw fault("an unknown escape")
        }
    }

    private mutating func number() throws -> String {
        let start = offset
        if next == UInt8(ascii: "-") { offset += 1 }
        let whole = digits()
        guard whole == 1 || (whole > 1 && bytes[offset - whole] != UInt8(ascii: "0")) else { throw fault("no value") }
        if next == UInt8(ascii: ".") {
            offset += 1
            guard digits() > 0 else { throw fault("no digits behind the point") }
        }
        return String(decoding: bytes[start..<offset], as: UTF8.self)
    }

    private mutating func digits() -> Int {
        let start = offset
        while let c = next, c >= 0x30, c <= 0x39 { offset += 1 }
        return offset - start
    }
}
