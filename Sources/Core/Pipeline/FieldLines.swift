import Primitives

extension RawSpan {
    /// Whether the bytes may stand in a field value: no control byte but HTAB (RFC 9110 §5.5).
    @inline(__always)
    var isFieldValue: Bool { firstControl(from: 0) == byteCount }
}

/// Constant texts for field lines. (A literal given to `ByteBuffer.append` would be a `String`.)
extension ByteBuffer {
    @inline(__always)
    mutating func appendText(_ text: StaticString) { append(text) }

    /// The text and a line end.
    @inline(__always)
    mutating func appendLine(_ text: StaticString) {
        let lineEnd: StaticString = "\r\n"
        append(text)
        append(lineEnd)
    }

    /// The text, a number, and a line end.
    @inline(__always)
    mutating func appendLine(_ text: StaticString, decimal number: UInt64) {
        withFreeSpace(text.utf8CodeUnitCount + 22) { room in
            var line = TextCursor(room)
            line.write(text)
            line.write(decimal: number)
            line.write("\r\n")
            return line.count
        }
    }

    mutating func appendText(of address: IPAddress) {
        withFreeSpace(40) { room in
            var text = TextCursor(room)
            text.write(address: address)
            return text.count
        }
    }
}
