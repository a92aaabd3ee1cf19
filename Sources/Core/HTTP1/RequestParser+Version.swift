import HTTPMessages
import Primitives

extension RequestParser {
    enum VersionStep {
        /// `HTTP/1.x` CRLF: ten bytes.
        case complete(HTTPVersion)
        case partial
        case fault(RequestFault)
    }

    /// Whether the ten bytes at `start` are `HTTP/1.1` CRLF.
    @inline(__always)
    static func isHTTP11(_ start: UnsafePointer<UInt8>) -> Bool {
        let raw = UnsafeRawPointer(start)
        return UInt64(littleEndian: raw.loadUnaligned(as: UInt64.self)) == 0x312e_312f_5054_5448
            && UInt16(littleEndian: raw.loadUnaligned(fromByteOffset: 8, as: UInt16.self)) == 0x0a0d
    }

    /// Reads the version and the end of the request line byte by byte (RFC 9112 §2.3): the way for HTTP/1.0, for a line that has
    /// not come as a whole, and for faults. A well-formed version that is not ours is told apart from garbage (505, not 400).
    @inline(never)
    static func readVersion(_ base: UnsafePointer<UInt8>, _ start: Int, _ count: Int) -> VersionStep {
        let name: StaticString = "HTTP/"
        for i in 0..<10 {
            guard start + i < count else { return .partial }
            let byte = base[start + i]
            let isExpected =
                switch i {
                case 0...4: byte == name.utf8Start[i]
                case 5: byte == UInt8(ascii: "1")
                case 6: byte == ASCII.dot
                case 7: byte == UInt8(ascii: "1") || byte == UInt8(ascii: "0")
                case 8: byte == ASCII.cr
                default: byte == ASCII.lf
                }
            if isExpected { continue }
            if i == 9 { return .fault(.fields(.bareCarriageReturn)) }
            if byte == ASCII.lf { return .fault(.fields(.bareLineFeed)) }
            return .fault(i >= 5 && ASCII.isDigit(byte) ? .unsupportedVersion : .malformedRequestLine)
        }
        return .complete(base[start + 7] == UInt8(ascii: "1") ? .http11 : .http10)
    }
}
