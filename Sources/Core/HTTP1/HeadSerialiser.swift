import HTTPMessages
import Primitives

/// Writes heads, requests' and responses', and is the one place that does: every byte is checked again on its way out, whoever
/// made it, so that no value can end its line and start another.
///
/// A head is put together from a start line, fields in any number of calls, and `endOfHead`. Each part returns false, and leaves
/// the buffer as it was, when it would have to write a byte that may not stand there; the caller then truncates to where its
/// head began.
public enum HeadSerialiser {
    /// `METHOD path?query HTTP/1.1`. The path is in origin-form, or `*`; without a query there is no `?`.
    public static func startRequest(
        method: RawSpan, path: RawSpan, query: RawSpan?, into buffer: inout ByteBuffer
    ) -> Bool {
        let start = buffer.count
        buffer.reserve(method.byteCount + path.byteCount + (query?.byteCount ?? 0) + 13)
        var isGood = buffer.append(checkedToken: method)
        buffer.append(ASCII.space)
        isGood = isGood && isPath(path)
        buffer.append(path)
        if let query {
            isGood = isGood && isTarget(query)
            buffer.append(ASCII.question)
            buffer.append(query)
        }
        buffer.append(" HTTP/1.1\r\n")
        return keep(isGood, in: &buffer, from: start)
    }

    /// A status line with a backend's own reason, which may be empty.
    public static func startResponse(status: UInt16, reason: RawSpan, into buffer: inout ByteBuffer) -> Bool {
        guard status >= 100, status <= 999 else { return false }
        let start = buffer.count
        buffer.reserve(reason.byteCount + 15)
        buffer.append("HTTP/1.1 ")
        buffer.append(UInt8(truncatingIfNeeded: 48 + status / 100))
        buffer.append(UInt8(truncatingIfNeeded: 48 + status / 10 % 10))
        buffer.append(UInt8(truncatingIfNeeded: 48 + status % 10))
        buffer.append(ASCII.space)
        let isGood = buffer.append(checkedValue: reason)
        buffer.append("\r\n")
        return keep(isGood, in: &buffer, from: start)
    }

    /// A status line with the standard phrase.
    public static func startResponse(status: UInt16, into buffer: inout ByteBuffer) -> Bool {
        if let line = statusLine(status) {
            buffer.append(line)
            return true
        }
        let phrase = StatusPhrase.text(of: status)
        return startResponse(
            status: status,
            reason: RawSpan(_unsafeStart: UnsafeRawPointer(phrase.utf8Start), byteCount: phrase.utf8CodeUnitCount),
            into: &buffer)
    }

    /// All fields of a block that were not removed, in their order, names as they were received.
    public static func fields(of block: borrowing HeaderBlock, into buffer: inout ByteBuffer) -> Bool {
        // Sums do not wrap: a block has fewer than 2^32 fields, and each counts less than 2^18 bytes.
        var room = 0
        let fields = block.fields
        for field in fields { room &+= Int(field.nameCount) &+ Int(field.valueCount) &+ 4 }
        var isGood = true
        block.storage.bytes.withUnsafeBytes { bytes in
            buffer.withFreeSpace(room) { free in
                guard let from = bytes.baseAddress?.assumingMemoryBound(to: UInt8.self),
                    let start = free.baseAddress?.assumingMemoryBound(to: UInt8.self)
                else { return 0 }
                // `room` counts every field, so that what is written through `to` fits.
                var to = start
                for field in fields where !field.isRemoved {
                    let name = Int(field.nameOffset)
                    let nameCount = Int(field.nameCount)
                    let value = Int(field.valueOffset)
                    let valueCount = Int(field.valueCount)
                    precondition(
                        name &+ nameCount <= bytes.count && value &+ valueCount <= bytes.count, "field outside its block")
                    guard Scan.writeLine(to, name: from + name, nameCount, value: from + value, valueCount) else {
                        isGood = false
                        return 0
                    }
                    to += nameCount &+ valueCount &+ 4
                }
                return to - start
            }
        }
        return isGood
    }

    public static func field(_ name: RawSpan, value: RawSpan, into buffer: inout ByteBuffer) -> Bool {
        let start = buffer.count
        buffer.reserve(name.byteCount + value.byteCount + 4)
        var isGood = buffer.append(checkedToken: name)
        buffer.append(": ")
        isGood = buffer.append(checkedValue: value) && isGood
        buffer.append("\r\n")
        return keep(isGood, in: &buffer, from: start)
    }

    public static func field(_ name: StaticString, value: RawSpan, into buffer: inout ByteBuffer) -> Bool {
        field(
            RawSpan(_unsafeStart: UnsafeRawPointer(name.utf8Start), byteCount: name.utf8CodeUnitCount), value: value,
            into: &buffer)
    }

    /// The one field that says how long the body is, or none (RFC 9112 §6). The block must not have another.
    public static func framing(_ framing: BodyFraming, into buffer: inout ByteBuffer) {
        switch framing {
        case .none, .untilClose: break
        case .length(let length):
            buffer.append("Content-Length: ")
            buffer.append(decimal: length)
            buffer.append("\r\n")
        case .chunked:
            buffer.append("Transfer-Encoding: chunked\r\n")
        }
    }

    public static func endOfHead(into buffer: inout ByteBuffer) { buffer.append("\r\n") }

    private static func keep(_ isGood: Bool, in buffer: inout ByteBuffer, from start: Int) -> Bool {
        if !isGood { buffer.truncate(to: start) }
        return isGood
    }

    private static func isTarget(_ bytes: RawSpan) -> Bool {
        bytes.withUnsafeBytes { buffer in
            guard let start = buffer.baseAddress else { return true }
            return Scan.target(start.assumingMemoryBound(to: UInt8.self), buffer.count) == buffer.count
        }
    }

    /// A `?` in a path would start a query that nobody has seen.
    private static func isPath(_ bytes: RawSpan) -> Bool {
        bytes.byteCount > 0 && isTarget(bytes) && bytes.firstIndex(of: ASCII.question) == nil
    }
}
