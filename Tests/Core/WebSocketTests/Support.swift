import HTTP1
import HTTPMessages
import Primitives
import Testing
import WebSocket

func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

func text(_ span: RawSpan) -> String { String(decoding: span.array(), as: UTF8.self) }

/// A head of these lines as the parser reads it; host and port are filled in as routing does.
func request(_ lines: [String]) -> RequestHead {
    let input = bytes(lines.joined(separator: "\r\n") + "\r\n\r\n")
    var head = RequestHead()
    let outcome = RequestParser.parse(input.span.bytes, limits: Limits(), into: &head)
    #expect(outcome == .head(consumed: input.count))
    if let index = head.hostIndex {
        let start = Int(head.headers.fields[index].valueOffset)
        let value = text(head.headers.value(index))
        let isAddress = value.hasPrefix("[")
        let name = isAddress ? String(value.prefix { $0 != "]" }) + "]" : String(value.prefix { $0 != ":" })
        head.host = start..<(start + name.utf8.count)
        if let port = UInt16(value.dropFirst(name.count + 1)) { head.port = port }
    }
    return head
}

func response(_ lines: [String]) -> ResponseHead {
    let input = bytes(lines.joined(separator: "\r\n") + "\r\n\r\n")
    var head = ResponseHead()
    let outcome = ResponseParser.parse(input.span.bytes, limits: .response, requestMethod: .get, into: &head)
    #expect(outcome == .head(consumed: input.count))
    return head
}

/// The example of RFC 6455 §1.3.
let exampleKey = "dGhlIHNhbXBsZSBub25jZQ=="
let exampleAccept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

/// A frame as RFC 6455 §5.2 draws it; `lengthBytes` forces the long forms.
func frame(
    _ opcode: UInt8, _ payload: [UInt8] = [], fin: Bool = true, reserved: UInt8 = 0, mask: [UInt8]? = nil, lengthBytes: Int? = nil
) -> [UInt8] {
    var bytes = [(fin ? 0x80 : 0) | reserved << 4 | opcode]
    let maskBit: UInt8 = mask == nil ? 0 : 0x80
    let form = lengthBytes ?? (payload.count < 126 ? 0 : payload.count < 65_536 ? 2 : 8)
    switch form {
    case 0: bytes.append(maskBit | UInt8(payload.count))
    case 2: bytes += [maskBit | 126] + (0..<2).map { UInt8(truncatingIfNeeded: payload.count >> (8 - 8 * $0)) }
    default: bytes += [maskBit | 127] + (0..<8).map { UInt8(truncatingIfNeeded: payload.count >> (56 - 8 * $0)) }
    }
    bytes += mask ?? []
    for (i, byte) in payload.enumerated() { bytes.append(mask == nil ? byte : byte ^ (mask?[i % 4] ?? 0)) }
    return bytes
}
