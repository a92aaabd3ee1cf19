import Primitives
import Testing
import WebSocket

/// Hardening 109, 111; RFC 6455 §5.
@Suite struct FrameScannerTests {
    private let mask: [UInt8] = [0xa1, 0xb2, 0xc3, 0xd4]

    private func fed(_ bytes: [UInt8], by sender: FrameScanner.Sender = .client, hasExtensions: Bool = false) -> FrameScanner {
        var scanner = FrameScanner(sender: sender, hasExtensions: hasExtensions)
        _ = scanner.feed(bytes.span.bytes)
        return scanner
    }

    @Test(arguments: [0, 1, 5, 125, 126, 127, 65_535, 65_536, 200_000])
    func `a whole message is one frame, one message and a boundary, whatever its length`(_ count: Int) {
        let payload = [UInt8](repeating: 0x81, count: count)
        for opcode: UInt8 in [1, 2] {
            for scanner in [fed(frame(opcode, payload, mask: mask)), fed(frame(opcode, payload), by: .server)] {
                #expect(scanner.frames == 1 && scanner.messages == 1)
                #expect(scanner.isAtFrameBoundary && scanner.isAtMessageBoundary && scanner.fault == nil)
            }
        }
    }

    @Test func `many frames in one chunk are all counted`() {
        var bytes = [UInt8]()
        for i in 0..<1000 { bytes += frame(1, [UInt8](repeating: 7, count: i % 200), mask: mask) }
        let scanner = fed(bytes)
        #expect(scanner.frames == 1000 && scanner.messages == 1000 && scanner.isAtMessageBoundary)
    }

    @Test func `a message in fragments is one message, with control frames between them counted as frames`() {
        var scanner = FrameScanner(sender: .server, hasExtensions: false)
        let steps: [([UInt8], UInt64, UInt64, Bool)] = [
            (frame(1, [1, 2], fin: false), 1, 0, false), (frame(9, [3]), 2, 0, false), (frame(0, [], fin: false), 3, 0, false),
            (frame(0, [4]), 4, 1, true), (frame(10), 5, 1, true), (frame(2, [5]), 6, 2, true),
        ]
        for (bytes, frames, messages, isWhole) in steps {
            #expect(scanner.feed(bytes.span.bytes) == .nothing)
            #expect(scanner.frames == frames && scanner.messages == messages)
            #expect(scanner.isAtFrameBoundary && scanner.isAtMessageBoundary == isWhole)
        }
    }

    @Test func `within a frame there is no boundary`() {
        for whole in [
            frame(1, [1, 2, 3], mask: mask), frame(2, [UInt8](repeating: 0, count: 300), mask: mask), frame(9, [1], mask: mask),
        ] {
            var scanner = FrameScanner(sender: .client, hasExtensions: false)
            #expect(scanner.isAtFrameBoundary)
            for byte in whole.dropLast() {
                #expect(scanner.feed([byte].span.bytes) == .nothing)
                #expect(!scanner.isAtFrameBoundary && !scanner.isAtMessageBoundary)
            }
            #expect(scanner.feed([whole[whole.count - 1]].span.bytes) == .nothing)
            #expect(scanner.isAtFrameBoundary)
        }
    }

    @Test func `a Close frame is told once, with its code`() {
        var scanner = FrameScanner(sender: .client, hasExtensions: false)
        #expect(scanner.closeCode == nil)
        let bytes = frame(1, [1], mask: mask) + frame(8, [0x03, 0xf3] + Array("why".utf8), mask: mask)
        #expect(scanner.feed(bytes.span.bytes) == .close(code: 1011))
        #expect(scanner.closeCode == 1011 && scanner.frames == 2 && scanner.messages == 1)
        #expect(scanner.feed(frame(8, [0x03, 0xe8], mask: mask).span.bytes) == .nothing)
        #expect(scanner.closeCode == 1011)
    }

    @Test func `a Close frame without a code is 1005`() {
        #expect(fed(frame(8), by: .server).closeCode == 1005)
        #expect(fed(frame(8, mask: mask)).closeCode == 1005)
        var scanner = FrameScanner(sender: .server, hasExtensions: false)
        #expect(scanner.feed(frame(8).span.bytes) == .close(code: 1005))
    }

    @Test func `a Close frame of the greatest length is read to its end`() {
        let scanner = fed(frame(8, [0x03, 0xe9] + [UInt8](repeating: 0x61, count: 123), mask: mask) + frame(1, [1], mask: mask))
        #expect(scanner.closeCode == 1001 && scanner.frames == 2 && scanner.fault == nil)
    }

    private static let long = [UInt8](repeating: 0, count: 126)
    private static let key: [UInt8] = [1, 2, 3, 4]

    static let breaches: [(FrameFault, FrameScanner.Sender, [UInt8])] = [
        (.unmasked, .client, frame(1, [1])), (.unmasked, .client, frame(8)), (.unmasked, .client, frame(1, long)),
        (.masked, .server, frame(1, [1], mask: key)), (.masked, .server, frame(9, mask: key)),
        (.reservedBits, .server, frame(1, [1], reserved: 4)), (.reservedBits, .server, frame(2, [1], reserved: 1)),
        (.reservedBits, .server, frame(9, [1], reserved: 2)),
        (.reservedOpcode, .server, frame(3, [1])), (.reservedOpcode, .server, frame(7)), (.reservedOpcode, .server, frame(11)),
        (.reservedOpcode, .server, frame(15, [1])), (.reservedOpcode, .server, frame(5, fin: false)),
        (.longControlFrame, .server, frame(9, long)), (.longControlFrame, .client, frame(8, long, mask: key)),
        (.longControlFrame, .server, frame(10, [1], lengthBytes: 8)),
        (.fragmentedControlFrame, .server, frame(9, [1], fin: false)), (.fragmentedControlFrame, .server, frame(8, fin: false)),
        (.invalidLength, .server, [0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0]),
        (.invalidLength, .server, [0x82, 127] + [UInt8](repeating: 0xff, count: 8)),
        (.invalidLength, .client, [0x82, 255] + [UInt8](repeating: 0xff, count: 12)),
        (.lengthNotMinimal, .server, frame(1, [1], lengthBytes: 2)), (.lengthNotMinimal, .server, frame(1, [1], lengthBytes: 8)),
        (.lengthNotMinimal, .client, frame(2, [UInt8](repeating: 0, count: 65_535), mask: key, lengthBytes: 8)),
        (.lengthNotMinimal, .client, frame(2, [UInt8](repeating: 0, count: 125), mask: key, lengthBytes: 2)),
        (.nothingToContinue, .server, frame(0, [1])), (.nothingToContinue, .server, frame(1, [1]) + frame(0, [1])),
        (.messageNotFinished, .server, frame(1, [1], fin: false) + frame(2, [1])),
        (.messageNotFinished, .client, frame(1, fin: false, mask: key) + frame(1, fin: false, mask: key)),
        (.closeWithoutCode, .server, frame(8, [3])), (.closeWithoutCode, .client, frame(8, [3], mask: key)),
    ]

    @Test func `each breach is a fault, however the bytes are cut, and stays one`() {
        for (fault, sender, bytes) in FrameScannerTests.breaches {
            var whole = FrameScanner(sender: sender, hasExtensions: false)
            #expect(whole.feed(bytes.span.bytes) == .fault(fault), "\(bytes)")
            #expect(whole.fault == fault && !whole.isAtFrameBoundary && !whole.isAtMessageBoundary)
            #expect(whole.feed(frame(1, [1]).span.bytes) == .fault(fault))
            #expect(whole.feed([UInt8]().span.bytes) == .fault(fault))
            var cut = FrameScanner(sender: sender, hasExtensions: false)
            var news = FrameScanner.News.nothing
            for byte in bytes { news = cut.feed([byte].span.bytes) }
            #expect(news == .fault(fault), "\(bytes)")
        }
        #expect(Set(FrameScannerTests.breaches.map(\.0)).count == FrameFault.allCases.count)
    }

    @Test func `the greatest length is followed and nothing traps`() {
        var scanner = FrameScanner(sender: .server, hasExtensions: false)
        #expect(scanner.feed(([0x82, 127, 0x7f] + [UInt8](repeating: 0xff, count: 7)).span.bytes) == .nothing)
        for _ in 0..<100 { #expect(scanner.feed([UInt8](repeating: 0x88, count: 70_000).span.bytes) == .nothing) }
        #expect(!scanner.isAtFrameBoundary && scanner.frames == 0)
    }

    @Test func `the reserved bits are an extension's where there is one`() {
        let deflated = frame(1, [1, 2], reserved: 4, mask: mask)
        #expect(fed(deflated, hasExtensions: true).messages == 1)
        #expect(fed(deflated).fault == .reservedBits)
        #expect(fed(frame(1, Self.long, reserved: 4, mask: mask), hasExtensions: true).messages == 1)
    }

    @Test func `no bytes are no news`() {
        var scanner = FrameScanner(sender: .client, hasExtensions: false)
        #expect(scanner.feed([UInt8]().span.bytes) == .nothing)
        #expect(scanner.isAtMessageBoundary)
    }

    /// What a reader of whole inputs finds, written another way: frames, messages and the code of the first Close frame.
    private func naive(_ bytes: [UInt8]) -> (frames: UInt64, messages: UInt64, close: UInt16?, isWhole: Bool) {
        var frames: UInt64 = 0, messages: UInt64 = 0, close: UInt16?, i = 0
        while i + 2 <= bytes.count {
            var length = Int(bytes[i + 1] & 0x7f), start = i + 2
            if length == 126 {
                guard i + 4 <= bytes.count else { break }
                length = Int(bytes[i + 2]) << 8 | Int(bytes[i + 3])
                start = i + 4
            }
            let key = bytes.dropFirst(start).prefix(4)
            start += 4
            guard start + length <= bytes.count else { break }
            frames += 1
            if bytes[i] & 0x08 == 0, bytes[i] & 0x80 != 0 { messages += 1 }
            if bytes[i] == 0x88, close == nil {
                let plain = zip(bytes[start...].prefix(2), key).map { $0 ^ $1 }
                close = length == 0 ? 1005 : UInt16(plain[0]) << 8 | UInt16(plain[1])
            }
            i = start + length
        }
        return (frames, messages, close, i == bytes.count)
    }

    @Test(arguments: 0..<40)
    func `any cut of the same bytes is followed alike`(_ seed: Int) {
        var random = RandomSource(seed: UInt64(seed))
        var bytes = [UInt8]()
        var isOpen = false
        for _ in 0..<60 {
            let key = (0..<4).map { _ in UInt8(truncatingIfNeeded: random.next()) }
            let count = [0, 1, 3, 100, 125, 126, 700, 70_000][Int(random.below(random.below(9) == 0 ? 7 : 6))]
            let payload = [UInt8](repeating: UInt8(truncatingIfNeeded: random.next()), count: count)
            switch random.below(10) {
            case 0: bytes += frame(9, Array(payload.prefix(125)), mask: key)
            case 1 where random.below(4) == 0:
                bytes += frame(8, Array(payload.prefix(125)).count == 1 ? [] : Array(payload.prefix(125)), mask: key)
            case 2, 3:
                bytes += frame(isOpen ? 0 : 1, payload, fin: false, mask: key)
                isOpen = true
            default:
                bytes += frame(isOpen ? 0 : 2, payload, mask: key)
                isOpen = false
            }
        }
        bytes.removeLast(Int(random.below(3)))
        let wanted = naive(bytes)
        for greatest: UInt64 in [1, 3, 50, 5000, 1 << 40] {
            var scanner = FrameScanner(sender: .client, hasExtensions: false)
            var i = 0
            var closes = 0
            while i < bytes.count {
                let n = min(bytes.count - i, Int(random.below(greatest)) + 1)
                switch scanner.feed(Array(bytes[i..<(i + n)]).span.bytes) {
                case .nothing: break
                case .close(let code):
                    closes += 1
                    #expect(code == wanted.close)
                case .fault(let fault): Issue.record("seed \(seed): \(fault)")
                }
                i += n
            }
            #expect(scanner.frames == wanted.frames && scanner.messages == wanted.messages, "seed \(seed)")
            #expect(scanner.closeCode == wanted.close && closes == (wanted.close == nil ? 0 : 1), "seed \(seed)")
            #expect(scanner.isAtFrameBoundary == wanted.isWhole, "seed \(seed)")
        }
    }
}
