import CScan
import Primitives
import Testing

/// Each vectorised scan against its scalar twin: every length around the vector width, every alignment, every byte.
@Suite struct CScanTests {
    private typealias Scan = (UnsafePointer<UInt8>, Int) -> Int

    /// Bytes that no scan stops at.
    private let filler = Array("abcXYZ019-".utf8)

    private func compare(_ name: String, _ fast: Scan, _ scalar: Scan) {
        // A guard of a stopping byte on either side shows a scan that reads outside its bytes.
        for length in 0...50 {
            for alignment in [0, 1, 7] {
                var bytes =
                    Array(repeating: UInt8(0), count: alignment) + (0..<length).map { filler[$0 % filler.count] } + [0, 0, 0]
                bytes.withUnsafeBufferPointer { check(name, $0, alignment, length, fast, scalar) }
                for at in 0..<length {
                    let kept = bytes[alignment + at]
                    for byte in UInt8.min...UInt8.max where at % 5 == 0 || byte < 48 || byte > 120 {
                        bytes[alignment + at] = byte
                        bytes.withUnsafeBufferPointer { check(name, $0, alignment, length, fast, scalar) }
                    }
                    bytes[alignment + at] = kept
                }
            }
        }
    }

    private func check(
        _ name: String, _ bytes: UnsafeBufferPointer<UInt8>, _ from: Int, _ length: Int, _ fast: Scan, _ scalar: Scan
    ) {
        guard let start = bytes.baseAddress else { return }
        let a = fast(start + from, length)
        let b = scalar(start + from, length)
        if a != b { Issue.record("\(name) of \(Array(bytes)) from \(from) is \(a), not \(b)") }
    }

    @Test func `each scan gives what its scalar twin gives`() {
        compare("control", { cscan_control($0, $1) }, { cscan_control_scalar($0, 0, $1) })
        compare("byte", { cscan_byte($0, $1, 0x31) }, { cscan_byte_scalar($0, 0, $1, 0x31) })
        compare("target", { cscan_target($0, $1) }, { cscan_target_scalar($0, 0, $1) })
        compare("token", { cscan_token($0, $1) }, { cscan_token_scalar($0, 0, $1) })
        compare(
            "name",
            {
                var underscores: UInt32 = 7
                return cscan_name($0, $1, &underscores) * 2 + Int(underscores)
            },
            {
                var underscores: UInt32 = 7
                return cscan_name_scalar($0, 0, $1, &underscores) * 2 + Int(underscores)
            })
    }

    @Test func `what a text for a log has is found in any place, as by its scalar twin`() {
        compare("log", { Int(cscan_log($0, $1)) }, { Int(cscan_log_scalar($0, $1)) })
        for length in 2...50 {
            for at in 0..<length - 1 {
                for pair in ["be", "Ba", "bE", "BA", "bi", "de", "b=", ":%"] {
                    var bytes = [UInt8](repeating: 0x78, count: length)
                    bytes.replaceSubrange(at..<at + 2, with: Array(pair.utf8))
                    let found = bytes.withUnsafeBufferPointer { $0.baseAddress.map { cscan_log($0, length) } }
                    let hasScheme = ["be", "Ba", "bE", "BA"].contains(pair)
                    #expect(found == (hasScheme ? 4 : pair == "b=" || pair == ":%" ? 2 : 0), "\(pair) at \(at) of \(length)")
                }
            }
        }
    }

    private typealias Copy = (UnsafeMutablePointer<UInt8>, UnsafePointer<UInt8>, Int) -> Int32

    private func compareCopies(_ name: String, _ fast: Copy, _ scalar: Copy) {
        for length in 0...50 {
            for at in 0...length {
                for byte in UInt8.min...UInt8.max where at % 5 == 0 || byte < 48 || byte > 120 {
                    var from = (0..<length).map { filler[$0 % filler.count] }
                    if at < length { from[at] = byte } else if byte > 0 { break }
                    var to = Array(repeating: UInt8(0xaa), count: length + 2)
                    let good = copy(fast, &to, from)
                    if to != [0xaa] + from + [0xaa] { Issue.record("\(name) of \(length) bytes copied \(to)") }
                    if good != copy(scalar, &to, from) { Issue.record("\(name) of \(from) is \(good)") }
                }
            }
        }
    }

    private func copy(_ copy: Copy, _ to: inout [UInt8], _ from: [UInt8]) -> Int32 {
        to.withUnsafeMutableBufferPointer { to in
            from.withUnsafeBufferPointer { from in
                guard let target = to.baseAddress else { return -1 }
                return withUnsafeTemporaryAllocation(of: UInt8.self, capacity: 1) { nothing in
                    guard let source = from.baseAddress ?? UnsafePointer(nothing.baseAddress) else { return -1 }
                    return copy(target + 1, source, from.count)
                }
            }
        }
    }

    @Test func `each copy writes what it read, no byte more, and judges as its scalar twin`() {
        compareCopies("value", { cscan_copy_value($0, $1, $2) }, { cscan_copy_value_scalar($0, $1, $2) })
        compareCopies("token", { cscan_copy_token($0, $1, $2) }, { cscan_copy_token_scalar($0, $1, $2) })
    }

    @Test func `the tables are those of the RFCs`() {
        let tchars = Set("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz".utf8)
        for byte in UInt8.min...UInt8.max {
            #expect((ASCII.isToken(byte)) == tchars.contains(byte), "ASCII.isToken(\(byte))")
            let one = [byte]
            #expect((cscan_token(one, 1) == 1) == tchars.contains(byte), "cscan_token(\(byte))")
            #expect((cscan_control(one, 1) == 0) == (byte < 32 && byte != 9 || byte == 127), "cscan_control(\(byte))")
            #expect((cscan_target(one, 1) == 1) == ((0x21...0x7e).contains(byte) && byte != 0x23), "cscan_target(\(byte))")
        }
    }

    @Test func `letters alone are folded when bytes are compared`() {
        let lower = Array("content-length: 012".utf8)
        for length in 0...lower.count {
            let wanted = Array(lower[..<length])
            #expect(cscan_equals_lowercase(wanted, wanted, length) == 1)
            #expect(cscan_equals_lowercase(Array(String(decoding: wanted, as: UTF8.self).uppercased().utf8), wanted, length) == 1)
            for at in 0..<length {
                for byte in UInt8.min...UInt8.max {
                    var other = wanted
                    other[at] = byte
                    let expected = cscan_equals_lowercase_scalar(other, wanted, length)
                    #expect(cscan_equals_lowercase(other, wanted, length) == expected)
                    #expect((expected == 1) == (ASCII.lowercased(byte) == wanted[at]))
                }
            }
        }
    }

    @Test func `a field line is written with its colon, its space and its line end`() {
        for (name, value, good) in [
            ("Name", "v", true), ("N", "", true), ("", "v", false), ("a b", "v", false), ("a", "\u{1}", false),
        ] {
            let name = Array(name.utf8), value = Array(value.utf8)
            var to = Array(repeating: UInt8(0xaa), count: name.count + value.count + 5)
            #expect((cscan_write_line(&to, name, name.count, value, value.count) == 1) == good)
            #expect(to == name + [0x3a, 0x20] + value + [13, 10, 0xaa])
        }
    }
}
