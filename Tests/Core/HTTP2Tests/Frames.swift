import CNghttp2

/// A frame as it stands on the wire (RFC 9113 §4.1).
struct Frame: Equatable {
    var type: UInt8
    var flags: UInt8
    var stream: Int32
    var payload: [UInt8]

    /// The error code of RST_STREAM and GOAWAY.
    var code: UInt32 {
        let at = type == 7 ? 4 : 0
        return payload.count >= at + 4 ? number(payload[at..<(at + 4)]) : .max
    }
}

func number(_ bytes: ArraySlice<UInt8>) -> UInt32 { bytes.reduce(0) { $0 << 8 | UInt32($1) } }

func big(_ value: UInt32) -> [UInt8] {
    [UInt8(value >> 24), UInt8(value >> 16 & 255), UInt8(value >> 8 & 255), UInt8(value & 255)]
}

func frame(_ type: UInt8, _ flags: UInt8 = 0, _ stream: Int32 = 0, _ payload: [UInt8] = []) -> [UInt8] {
    big(UInt32(payload.count)).dropFirst() + [type, flags] + big(UInt32(bitPattern: stream)) + payload
}

let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)

func settings(_ entries: [(UInt16, UInt32)] = []) -> [UInt8] {
    frame(4, 0, 0, entries.flatMap { [UInt8($0.0 >> 8), UInt8($0.0 & 255)] + big($0.1) })
}

let settingsAcknowledgement = frame(4, 1)

func data(_ stream: Int32, _ bytes: [UInt8], end: Bool = false) -> [UInt8] { frame(0, end ? 1 : 0, stream, bytes) }

func reset(_ stream: Int32, _ code: UInt32) -> [UInt8] { frame(3, 0, stream, big(code)) }

func windowUpdate(_ stream: Int32, _ increment: UInt32) -> [UInt8] { frame(8, 0, stream, big(increment)) }

func ping(_ flags: UInt8 = 0) -> [UInt8] { frame(6, flags, 0, [1, 2, 3, 4, 5, 6, 7, 8]) }

func goAway(_ last: Int32, _ code: UInt32) -> [UInt8] { frame(7, 0, 0, big(UInt32(bitPattern: last)) + big(code)) }

/// Fields as HPACK literals that are neither indexed nor compressed (RFC 7541 §6.2.2), so that any byte can be sent.
func block(_ fields: [(name: [UInt8], value: [UInt8])]) -> [UInt8] {
    fields.flatMap { [0] + text($0.name) + text($0.value) }
}

private func text(_ bytes: [UInt8]) -> [UInt8] {
    guard bytes.count >= 127 else { return [UInt8(bytes.count)] + bytes }
    var rest = bytes.count - 127
    var length: [UInt8] = [127]
    while rest >= 128 {
        length.append(UInt8(rest & 127 | 128))
        rest >>= 7
    }
    return length + [UInt8(rest)] + bytes
}

typealias Fields = [(String, String)]

func block(_ fields: Fields) -> [UInt8] { block(fields.map { (name: Array($0.0.utf8), value: Array($0.1.utf8)) }) }

func headers(_ stream: Int32, _ fields: Fields, end: Bool = true, endHeaders: Bool = true) -> [UInt8] {
    frame(1, (end ? 1 : 0) | (endHeaders ? 4 : 0), stream, block(fields))
}

/// The fields of a request, in the usual order.
func request(
    _ method: String = "GET", _ path: String = "/", scheme: String = "http", authority: String = "a", _ more: Fields = []
) -> Fields {
    [(":method", method), (":scheme", scheme), (":authority", authority), (":path", path)] + more
}

func request(_ more: Fields) -> Fields { request("GET", "/", more) }

/// Takes frames apart, and undoes HPACK with nghttp2's own inflater.
final class FrameReader {
    private var rest: [UInt8] = []
    private var inflater: OpaquePointer?
    /// The fields of each header block, by stream, `name: value`.
    private(set) var blocks: [(stream: Int32, fields: [String])] = []

    init(skipping preface: Int = 0) {
        toSkip = preface
        precondition(nghttp2_hd_inflate_new(&inflater) == 0)
    }

    deinit { nghttp2_hd_inflate_del(inflater) }

    private var toSkip: Int

    func read(_ bytes: [UInt8]) -> [Frame] {
        rest += bytes
        let skipped = min(toSkip, rest.count)
        rest.removeFirst(skipped)
        toSkip -= skipped
        var frames = [Frame]()
        var at = 0
        while rest.count - at >= 9 {
            let length = Int(number(rest[at..<(at + 3)]))
            guard rest.count - at >= 9 + length else { break }
            let frame = Frame(
                type: rest[at + 3], flags: rest[at + 4], stream: Int32(bitPattern: number(rest[(at + 5)..<(at + 9)])),
                payload: Array(rest[(at + 9)..<(at + 9 + length)]))
            frames.append(frame)
            if frame.type == 1 { blocks.append((frame.stream, inflate(frame.payload))) }
            at += 9 + length
        }
        rest.removeFirst(at)
        return frames
    }

    private func inflate(_ payload: [UInt8]) -> [String] {
        var fields = [String]()
        var at = 0
        while true {
            var field = nghttp2_nv()
            var flags: Int32 = 0
            let count = payload[at...].withUnsafeBufferPointer {
                nghttp2_hd_inflate_hd2(inflater, &field, &flags, $0.baseAddress, $0.count, 1)
            }
            precondition(count >= 0, "a header block that nghttp2 wrote cannot be read")
            at += count
            if flags & Int32(NGHTTP2_HD_INFLATE_EMIT.rawValue) != 0 {
                let name = UnsafeBufferPointer(start: field.name, count: field.namelen)
                let value = UnsafeBufferPointer(start: field.value, count: field.valuelen)
                fields.append(String(decoding: name, as: UTF8.self) + ": " + String(decoding: value, as: UTF8.self))
            }
            if flags & Int32(NGHTTP2_HD_INFLATE_FINAL.rawValue) != 0 { break }
        }
        nghttp2_hd_inflate_end_headers(inflater)
        return fields
    }
}
