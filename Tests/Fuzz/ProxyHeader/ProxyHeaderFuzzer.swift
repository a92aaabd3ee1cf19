import FuzzSupport
import Primitives
import ProxyProtocol

/// Any bytes as the beginning of a connection that must have a PROXY protocol header: the same verdict however they are cut, and
/// nothing of what follows the header consumed.
@main
enum ProxyHeaderFuzzer {
    static func main() {
        fuzz { data, size in
            test(input(data, size))
            return 0
        }
    }
}

private func parse(_ bytes: [UInt8], _ count: Int) -> ProxyHeader.Outcome {
    withPrefix(bytes, count) { ProxyHeader.parse($0) }
}

private func test(_ bytes: [UInt8]) {
    let whole = parse(bytes, bytes.count)
    for cut in cuts(bytes) {
        let part = parse(bytes, cut)
        precondition(part == .needMore || part == whole, "the first \(cut) bytes end otherwise than all of them")
    }
    switch whole {
    case .needMore: precondition(bytes.count < ProxyHeader.bytesMax, "more than the longest header is waited for")
    case .refused: precondition(parse(bytes + [0x0d, 0x0a], bytes.count + 2) == whole, "the verdict changes with what follows")
    case .header(let consumed, let client):
        precondition(consumed <= bytes.count, "more was consumed than there was")
        precondition(parse(bytes, consumed) == whole, "the header is not what was consumed")
        precondition(parse(bytes, consumed - 1) == .needMore, "the header ends before its end")
        if case .address(let address, let port) = client, bytes.first == UInt8(ascii: "P") {
            requireTold(Array(bytes[..<consumed]), address, port)
        }
    }
}

/// The line of version 1 that says the same in canonical form is read alike.
private func requireTold(_ line: [UInt8], _ address: IPAddress, _ port: UInt16) {
    let isV6 = line[9] == UInt8(ascii: "6")
    let client = isV6 && address.isV4 ? "::ffff:\(address.text)" : address.text
    let written = Array("PROXY TCP\(isV6 ? 6 : 4) \(client) \(isV6 ? "::1" : "127.0.0.1") \(port) 0\r\n".utf8)
    let again = parse(written, written.count)
    precondition(again == .header(consumed: written.count, client: .address(address, port: port)), "the client is another one")
}
