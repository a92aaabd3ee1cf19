import Primitives
import Testing

@testable import Reactor

/// What a fake kernel takes: the next call's answer, and all that it has taken.
private nonisolated(unsafe) var answers: [Int] = []
private nonisolated(unsafe) var taken: [UInt8] = []

private func take(_ bytes: [UnsafeRawBufferPointer]) -> Int {
    let total = bytes.reduce(0) { $0 + $1.count }
    let answer = answers.isEmpty ? total : answers.removeFirst()
    guard answer > 0 else { return answer }
    taken += bytes.flatMap { Array($0) }.prefix(answer)
    return min(answer, total)
}

@Suite(.serialized) struct PendingBytesTests {
    private var calls: SystemCalls {
        var calls = SystemCalls.kernel
        calls.send = { take([UnsafeRawBufferPointer(start: $1, count: $2)]) }
        calls.send2 = { take([UnsafeRawBufferPointer(start: $1, count: $2), UnsafeRawBufferPointer(start: $3, count: $4)]) }
        return calls
    }

    private func write(_ first: [UInt8], _ second: [UInt8], _ outgoing: inout Outgoing) -> String {
        let sent = first.withUnsafeBytes { a in second.withUnsafeBytes { b in calls.write(3, a, b, waiting: &outgoing) } }
        switch sent {
        case .all: return "all"
        case .blocked: return "blocked"
        case .failed(let error): return "failed \(error)"
        }
    }

    @Test func `what the kernel does not take is kept and sent later, every byte once and in order`() {
        let first = Array(0..<100 as Range<UInt8>)
        let second = Array(100..<250 as Range<UInt8>)
        for cut in 0...250 {
            answers = [cut == 0 ? -SystemError.again : cut]
            taken = []
            var outgoing = Outgoing()
            #expect(write(first, second, &outgoing) == (cut == 250 ? "all" : "blocked"))
            #expect(outgoing.count == 250 - cut)
            if cut < 250 {
                #expect(write([251], [], &outgoing) == "blocked")
                answers = [7, -SystemError.again]
                _ = outgoing.flush(3, calls)
                answers = []
                _ = outgoing.flush(3, calls)
                #expect(taken == first + second + [251])
            }
            #expect(outgoing.isEmpty)
        }
    }

    @Test func `a connection that is gone says so and keeps nothing`() {
        answers = [-SystemError.brokenPipe]
        var outgoing = Outgoing()
        #expect(write([1], [2], &outgoing) == "failed \(SystemError.brokenPipe)")
        #expect(outgoing.isEmpty)
    }

    @Test func `received bytes are handed out from the front and the memory goes with the last`() {
        var incoming = Incoming()
        var expected: [UInt8] = []
        for round in 0..<200 {
            let more = (0..<97).map { UInt8(truncatingIfNeeded: $0 &* round) }
            more.withUnsafeBytes { incoming.append($0) }
            expected += more
            incoming.removeFirst(13)
            expected.removeFirst(13)
            #expect(Array(incoming.bytes) == expected)
        }
        incoming.removeFirst(incoming.count)
        #expect(incoming.isEmpty)
    }

    @Test func `messages of many threads arrive once each, those of one in their order`() async throws {
        let mailbox = try Mailbox<(Int, Int)>()
        await withTaskGroup(of: Void.self) { group in
            for thread in 0..<4 { group.addTask { for n in 0..<1000 { mailbox.post((thread, n)) } } }
        }
        let messages = mailbox.drain()
        for thread in 0..<4 { #expect(messages.filter { $0.0 == thread }.map(\.1) == Array(0..<1000)) }
        #expect(mailbox.drain().isEmpty)
    }
}
