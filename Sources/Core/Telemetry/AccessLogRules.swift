import HTTPMessages
import Primitives

/// What a configuration adds to the lines of the access log: fields of the request to show, and names whose values are masked.
///
/// Made once for each configuration. Without rules it is one word that is nil, and a line costs what it costs without it.
public struct AccessLogRules: Sendable {
    /// The most bytes of each field's value that are shown, repeated ones joined.
    static var valueBytesMax: Int { 256 }

    struct ShownField: Sendable {
        let id: FieldID
        let lowercaseName: [UInt8]
        /// `"name":`, escaped.
        let key: [UInt8]
        /// Its value is never shown.
        let isSecret: Bool
    }

    final class Table: Sendable {
        let fields: [ShownField]
        /// In lower case.
        let redacted: [[UInt8]]

        init(fields: [ShownField], redacted: [[UInt8]]) {
            self.fields = fields
            self.redacted = redacted
        }
    }

    private let table: Table?

    /// No rules.
    @inline(__always)
    public init() { table = nil }

    /// - Parameters:
    ///   - requestHeaders: names of fields that the JSON form shows under `headers`, in this order; the combined form has no
    ///     place for them.
    ///   - redact: names of fields and query parameters, in any case, whose values are shown as `***` besides those that
    ///     always are.
    public init(requestHeaders: [String], redact: [String]) {
        let redacted = redact.map { Self.lowercase($0) }.filter { !$0.isEmpty }
        guard !requestHeaders.isEmpty || !redacted.isEmpty else {
            table = nil
            return
        }
        let names = AccessLogRules(Table(fields: [], redacted: redacted))
        var fields: [ShownField] = []
        for header in requestHeaders {
            let name = Self.lowercase(header)
            guard !name.isEmpty, !fields.contains(where: { $0.lowercaseName == name }) else { continue }
            var key = ByteBuffer(capacity: name.count + 4)
            key.append(ASCII.quote)
            JSONText.append(escaping: name.span.bytes, into: &key)
            key.append("\":")
            fields.append(
                ShownField(
                    id: FieldID(lowercasing: name.span.bytes), lowercaseName: name, key: key.bytes.array(),
                    isSecret: SecretNames.holdsWord(name.span.bytes) || names.redacts(name.span.bytes)))
        }
        table = Table(fields: fields, redacted: redacted)
    }

    private init(_ table: Table) { self.table = table }

    @inline(__always)
    var showsFields: Bool {
        guard let table else { return false }
        return !table.fields.isEmpty
    }

    @inline(__always)
    var redactsNames: Bool {
        guard let table else { return false }
        return !table.redacted.isEmpty
    }

    /// Whether a name in lower case is on the list.
    @inline(__always)
    func redacts(_ name: RawSpan) -> Bool {
        guard let table else { return false }
        return table.redacted.contains { $0.span.bytes.equals(name) }
    }

    /// Appends `,"headers":{…}`: every field of the rules, `null` where the request has none of the name.
    func appendFields(_ headers: borrowing HeaderBlock, into buffer: inout ByteBuffer) {
        guard let table else { return }
        buffer.append(",\"headers\":{")
        for i in table.fields.indices {
            if i > 0 { buffer.append(ASCII.comma) }
            buffer.append(table.fields[i].key)
            append(table.fields[i], headers, into: &buffer)
        }
        buffer.append("}")
    }

    private func append(_ field: ShownField, _ headers: borrowing HeaderBlock, into buffer: inout ByteBuffer) {
        var left = Self.valueBytesMax
        var isFirst = true
        for i in 0..<headers.count where !headers.fields[i].isRemoved && headers.fields[i].id == field.id {
            if field.id == .other, !headers.nameEquals(i, field.lowercaseName.span.bytes) { continue }
            if field.isSecret { return buffer.append("\"***\"") }
            if isFirst {
                buffer.append(ASCII.quote)
                isFirst = false
            } else if left > 2 {
                buffer.append(", ")
                left -= 2
            } else {
                break
            }
            left = MaskedText.append(headers.value(i), limit: left, .text, rules: self, into: &buffer)
        }
        if isFirst { buffer.append("null") } else { buffer.append(ASCII.quote) }
    }

    private static func lowercase(_ name: String) -> [UInt8] { name.utf8.map { ASCII.lowercased($0) } }
}
