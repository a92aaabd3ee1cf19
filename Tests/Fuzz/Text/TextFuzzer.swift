import FuzzSupport
import HTTP1
import HTTPMessages
import Primitives
import Routing

/// Small readers and writers of text, picked by the first byte: JSON escapes, addresses, Accept, trailers, patterns of routes.
@main
enum TextFuzzer {
    static func main() {
        fuzz { data, size in
            let bytes = input(data, size)
            guard let first = bytes.first else { return 0 }
            let text = Array(bytes.dropFirst())
            switch first % 5 {
            case 0: escape(text)
            case 1: address(text)
            case 2: accept(text)
            case 3: trailers(text)
            default: patterns(String(decoding: text, as: UTF8.self))
            }
            return 0
        }
    }
}

/// The inside of a JSON string: printable, or well-formed UTF-8, with whole escapes.
private func escape(_ text: [UInt8]) {
    var out = ByteBuffer(capacity: 16)
    withPrefix(text, text.count) { JSONText.append(escaping: $0, into: &out) }
    let written = out.bytes.array()
    precondition(written.count <= text.count * JSONText.growthMax, "it grew more than said")
    precondition(Array(String(decoding: written, as: UTF8.self).utf8) == written, "not UTF-8")
    var rest = written[...]
    while let byte = rest.popFirst() {
        precondition(byte >= 0x20 && byte != 0x7f && byte != ASCII.quote, "a byte that must not stand in a string")
        guard byte == ASCII.backslash else { continue }
        switch rest.popFirst() {
        case UInt8(ascii: "u"):
            precondition(rest.prefix(4).count == 4 && rest.prefix(4).allSatisfy { ASCII.hexValue($0) != nil }, "half an escape")
            rest = rest.dropFirst(4)
        case .some(let letter): precondition("\"\\/bfnrt".utf8.contains(letter), "an escape that JSON does not know")
        case nil: preconditionFailure("half an escape")
        }
    }
}

private func address(_ text: [UInt8]) {
    if let address = withPrefix(text, text.count, { IPAddress($0) }) {
        precondition(IPAddress(address.text) == address, "an address that is written is another one")
    }
    if let block = AddressBlock(String(decoding: text, as: UTF8.self)) {
        precondition(block.contains(block.network), "a block without its first address")
    }
}

private func accept(_ text: [UInt8]) {
    var preference = AcceptPreference()
    withPrefix(text, text.count) { preference.read($0) }
    _ = preference.format
}

private func trailers(_ text: [UInt8]) {
    var block = HeaderBlock(bytes: 64, fields: 4)
    let fault = withPrefix(text, text.count) { TrailerParser.parse($0, limits: Limits(), into: &block) }
    guard fault == nil else { return }
    var out = ByteBuffer(capacity: 64)
    precondition(HeadSerialiser.fields(of: block, into: &out), "a trailer that was accepted is not written")
    let written = out.bytes.array()
    requireWholeLines(written)
    var again = HeaderBlock(bytes: 64, fields: 4)
    precondition(TrailerParser.parse(written.span.bytes, limits: Limits(), into: &again) == nil, "written trailers are refused")
    precondition(again.count == block.count, "a trailer was lost or added")
}

private func patterns(_ text: String) {
    do throws(HostPatternError) { _ = try HostPattern(text) } catch { _ = error.description }
    do throws(PathPatternError) {
        let pattern = try PathPattern(text)
        for name in pattern.parameters { precondition(pattern.capture(name) != nil, "a parameter without a place") }
    } catch { return }
}
