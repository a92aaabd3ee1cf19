import HTTP1
import HTTPMessages
import Primitives
import Testing

/// The same bytes give the same events, however they are cut into packets.
@Suite struct SplitTests {  // 34
    private var corpus: [String] { refusedRequests.map(\.text) + acceptedRequests.map(\.text) }

    @Test func `every request of the corpus ends alike at every split point`() {
        for text in corpus {
            let bytes = bytes(text)
            let whole = parseRequest(bytes)
            for cut in 1..<max(bytes.count, 2) {
                #expect(parseInPieces(bytes, cuts: [min(cut, bytes.count)]) == whole, "\(text) at \(cut)")
            }
        }
    }

    @Test func `every request of the corpus ends alike one byte at a time`() {
        for text in corpus {
            let bytes = bytes(text)
            #expect(parseInPieces(bytes, cuts: Array(1..<bytes.count)) == parseRequest(bytes), "\(text)")
        }
    }

    @Test func `skipping the calls that are not worth it changes nothing`() {
        for text in corpus {
            let all = bytes(text)
            var seen = 0
            var verdict = RequestVerdict.incomplete
            for count in 1...all.count where verdict == .incomplete {
                let received = Array(all[..<count])
                // The last byte stands for a closed connection or a full buffer.
                guard count == all.count || RequestParser.worthParsing(received.span.bytes, alreadySeen: seen) else { continue }
                verdict = parseRequest(received)
                seen = count
            }
            #expect(verdict == parseRequest(all), "\(text)")
        }
    }

    @Test func `100,000 mutated requests end alike however they are cut`() {
        let small = Limits(requestTargetBytes: 60, fieldBytes: 60, headerBytes: 300, fieldCount: 8)
        let seeds = corpus.filter { $0.utf8.count < 400 }.map(bytes)
        let pieces = [
            "\r\n", "\n", "\r", ":", " ", "\t", "\0", "Host: b", "Content-Length: 3\r\n", "\u{80}", "_", "HTTP/1.0", "#",
        ].map(bytes)
        var random = RandomSource(seed: 0x5eed)
        for round in 0..<100_000 {
            var text = random.pick(seeds)
            for _ in 0..<random.below(4) where !text.isEmpty {
                let at = random.below(text.count)
                switch random.below(4) {
                case 0: text[at] = UInt8(truncatingIfNeeded: random.next())
                case 1: text.remove(at: at)
                case 2: text.insert(contentsOf: random.pick(pieces), at: at)
                default: text.insert(contentsOf: text[at..<min(text.count, at + random.below(20))], at: random.below(text.count))
                }
            }
            let limits = random.below(4) == 0 ? small : Limits()
            let whole = parseRequest(text, limits: limits)
            let cuts = random.cuts(text.count)
            #expect(
                parseInPieces(text, cuts: cuts, limits: limits) == whole, "round \(round): \(latin1(text.span.bytes)) at \(cuts)")
        }
    }

    @Test func `20,000 mutated responses end alike however they are cut`() {
        let seeds = responseCorpus.map(bytes)
        var random = RandomSource(seed: 0x5eed2)
        for round in 0..<20_000 {
            var text = random.pick(seeds)
            for _ in 0..<random.below(4) {
                let at = random.below(text.count)
                switch random.below(3) {
                case 0: text[at] = UInt8(truncatingIfNeeded: random.next())
                case 1: if text.count > 2 { text.remove(at: at) }
                default: text.insert(random.pick([13, 10, 32, 58, 0]), at: at)
                }
            }
            let whole = parseResponse(text)
            for cut in random.cuts(text.count) {
                let part = parseResponse(Array(text[..<cut]))
                #expect(part == .incomplete || part == whole, "round \(round): \(latin1(text.span.bytes)) at \(cut)")
            }
        }
    }
}
