import FuzzSupport
import Primitives
import WebSocket

/// Any bytes as one direction of a WebSocket, of either side, with and without extensions: the same frames, messages, close code
/// and fault however they are cut.
@main
enum FrameScannerFuzzer {
    static func main() {
        fuzz { data, size in
            test(input(data, size))
            return 0
        }
    }
}

private struct Summary: Equatable {
    var frames: UInt64
    var messages: UInt64
    var closeCode: UInt16?
    var fault: FrameFault?
    var isAtFrameBoundary: Bool
    var isAtMessageBoundary: Bool

    init(_ scanner: FrameScanner) {
        frames = scanner.frames
        messages = scanner.messages
        closeCode = scanner.closeCode
        fault = scanner.fault
        isAtFrameBoundary = scanner.isAtFrameBoundary
        isAtMessageBoundary = scanner.isAtMessageBoundary
    }
}

/// What the scanner found when it was fed these pieces one after the other.
private func scan(_ pieces: [[UInt8]], _ sender: FrameScanner.Sender, _ hasExtensions: Bool) -> Summary {
    var scanner = FrameScanner(sender: sender, hasExtensions: hasExtensions)
    for piece in pieces {
        let news = withPrefix(piece, piece.count) { scanner.feed($0) }
        switch news {
        case .nothing: precondition(scanner.fault == nil, "a fault was not told")
        case .close(let code): precondition(scanner.closeCode == code, "another code was told")
        case .fault(let fault): precondition(scanner.fault == fault, "another fault was told")
        }
        precondition(scanner.messages <= scanner.frames, "more messages than frames")
        precondition(!scanner.isAtMessageBoundary || scanner.isAtFrameBoundary, "a message ends within a frame")
    }
    return Summary(scanner)
}

private func test(_ bytes: [UInt8]) {
    for sender in [FrameScanner.Sender.client, .server] {
        for hasExtensions in [false, true] {
            let whole = scan([bytes], sender, hasExtensions)
            for cut in cuts(bytes) {
                precondition(
                    scan([Array(bytes[..<cut]), Array(bytes[cut...])], sender, hasExtensions) == whole, "a cut at \(cut) shows")
            }
            if bytes.count <= 512 {
                precondition(scan(bytes.map { [$0] }, sender, hasExtensions) == whole, "cuts everywhere show")
            }
        }
    }
}
