import FuzzSupport
import GRPC
import Primitives

/// Any bytes as the answer to a gRPC health check: a status or a fault, and the status of a whole answer is never that of a part.
@main
enum HealthMessageFuzzer {
    static func main() {
        fuzz { data, size in
            test(input(data, size))
            return 0
        }
    }
}

private func read(_ bytes: [UInt8], _ count: Int) -> Result<ServingStatus, HealthMessageFault> {
    withPrefix(bytes, count) { body in
        do throws(HealthMessageFault) {
            return .success(try HealthMessage.readResponse(body))
        } catch {
            return .failure(error)
        }
    }
}

private func test(_ bytes: [UInt8]) {
    readPrefixed(bytes)
    guard case .success = read(bytes, bytes.count) else { return }
    for cut in cuts(bytes) { precondition(read(bytes, cut) == .failure(.truncated), "a part is an answer") }
    precondition(read(bytes + [0], bytes.count + 1) != read(bytes, bytes.count), "what follows is passed over")
}

/// The bytes as the message alone: the prefix is made to fit, so that all of the input reaches the reader of fields.
private func readPrefixed(_ message: [UInt8]) {
    guard message.count <= HealthMessage.responseBytesMax - 5 else { return }
    let body = [0, 0, 0, UInt8(message.count >> 8), UInt8(message.count & 0xff)] + message
    switch read(body, body.count) {
    case .success: break
    case .failure(let fault): precondition(fault == .malformed, "a prefix that fits does not")
    }
}
