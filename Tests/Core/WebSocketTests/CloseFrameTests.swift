import Primitives
import Testing
import WebSocket

/// Hardening 111; RFC 6455 §5.5.1.
@Suite struct CloseFrameTests {
    private func made(_ code: CloseCode, _ reason: StaticString = "", maskKey: UInt32? = nil) -> [UInt8] {
        var out = ByteBuffer(capacity: 16)
        CloseFrame.append(code, reason: reason, maskKey: maskKey, to: &out)
        #expect(out.count <= CloseFrame.bytesMax)
        return out.bytes.array()
    }

    @Test func `a frame for a client has the code and the reason in the clear`() {
        #expect(made(.goingAway) == [0x88, 2, 0x03, 0xe9])
        #expect(made(.serviceRestart, "bye") == [0x88, 5, 0x03, 0xf4] + bytes("bye"))
        #expect(made(.tokenExpired) == [0x88, 2, 0x11, 0x31])
    }

    @Test func `a frame for a backend is masked with the key`() {
        let mask: [UInt8] = [0x11, 0x22, 0x33, 0x44]
        #expect(made(.goingAway, "bye!?", maskKey: 0x1122_3344) == frame(8, [0x03, 0xe9] + bytes("bye!?"), mask: mask))
        #expect(made(.normal, maskKey: 0) == frame(8, [0x03, 0xe8], mask: [0, 0, 0, 0]))
    }

    @Test func `a reason that is too long is cut between characters`() {
        let long: StaticString = """
            123456789012345678901234567890123456789012345678901234567890\
            123456789012345678901234567890123456789012345678901234567890é€x
            """
        #expect(long.utf8CodeUnitCount == 126)
        let frame = made(.normal, long, maskKey: 1)
        #expect(frame[1] == 0x80 | 124)
        let short = made(.normal, long)
        #expect(String(validating: short[4...], as: UTF8.self)?.hasSuffix("0é") == true)
    }

    @Test func `each side's scanner reads each code out of the frame`() {
        for code in CloseCode.allCases {
            var toClient = FrameScanner(sender: .server, hasExtensions: false)
            #expect(toClient.feed(made(code, "x").span.bytes) == .close(code: code.rawValue))
            var toBackend = FrameScanner(sender: .client, hasExtensions: false)
            #expect(toBackend.feed(made(code, "x", maskKey: 0xdead_beef).span.bytes) == .close(code: code.rawValue))
            #expect(toBackend.isAtFrameBoundary)
        }
    }
}
