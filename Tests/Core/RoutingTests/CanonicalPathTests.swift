import HTTPMessages
import Primitives
import Testing

@testable import Routing

/// Path normalisation: items 53, 56 to 59, 61, 63.
struct CanonicalPathTests {
    private func canonical(_ target: [UInt8], merge: Bool = false) -> Result<[UInt8], TargetFault> {
        var head = makeHead("GET", target)
        if let fault = CanonicalTarget.resolve(&head, policy: TargetPolicy(mergeSlashes: merge)) { return .failure(fault) }
        return .success(head.bytes(head.path).array())
    }

    private func canonical(_ target: String, merge: Bool = false) -> Result<String, TargetFault> {
        canonical(Array(target.utf8), merge: merge).map { String(decoding: $0, as: UTF8.self) }
    }

    @Test(
        arguments: [
            // Raw dot segments are resolved.
            ("/a/../b", "/b"), ("/a/./b", "/a/b"), ("/a/b/..", "/a/"), ("/a/.", "/a/"), ("/.", "/"), ("/a/..", "/"), ("/./", "/"),
            ("/a/b/../../c", "/c"), ("/a//../b", "/a/b"), ("/a/../../", nil), ("/..", nil), ("/../", nil), ("/a/../..", nil),
            ("/./../a", nil), ("//../a", "/a"),
            // Names that merely begin with dots are names.
            ("/...", "/..."), ("/..a", "/..a"), ("/.a", "/.a"), ("/a..", "/a.."), ("/.well-known/x", "/.well-known/x"),
            ("/.%41", "/.A"), ("/a%2e", "/a."), ("/..a;x", "/..a;x"), ("/a;..", "/a;.."), ("/...;x", "/...;x"),
            // Escaped ones are refused.
            ("/%2e", nil), ("/%2E/", nil), ("/%2e%2e/", nil), ("/.%2e/", nil), ("/%2e./a", nil), ("/a/%2e%2e/b", nil),
            ("/a/%2E%2e", nil), ("/a/.%2E", nil),
            // So are those behind a path parameter or an encoded slash.
            ("/..;/", nil), ("/a/..;x=y/b", nil), ("/.;/a", nil), ("/a/%2e%2e;/b", nil), ("/a/..%3b/b", nil), ("/a/..%3B", nil),
            ("/a/..%2fb", nil), ("/a/b%2f..", nil), ("/a/b%2f..%2fc", nil), ("/a/b%5c..%5cc", nil), ("/a/b%2F.;x", nil),
            ("/a%2f%2e%2e%2fb", nil),
        ] as [(String, String?)])
    func `dot segments are resolved when raw and refused when hidden`(target: String, expected: String?) {
        switch canonical(target) {
        case .success(let path): #expect(path == expected, "\(target)")
        case .failure(let fault):
            #expect(expected == nil, "\(target)")
            #expect(fault == .aboveRoot || fault == .encodedDotSegment, "\(target): \(fault)")
        }
    }

    @Test(arguments: [
        ("//admin", "//admin", "/admin"), ("/api//admin", "/api//admin", "/api/admin"), ("/a//", "/a//", "/a/"),
        ("//", "//", "/"), ("///a///b", "///a///b", "/a/b"), ("/a/.//b", "/a//b", "/a/b"), ("/a", "/a", "/a"),
    ])
    func `slash runs are kept or merged as configured`(target: String, kept: String, merged: String) {
        #expect(canonical(target) == .success(kept))
        #expect(canonical(target, merge: true) == .success(merged))
    }

    @Test func `every escape is decoded once, kept in upper case or refused`() {
        let unreserved = Array("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~".utf8)
        for byte in UInt8.min...UInt8.max {
            let upper = "%" + hex(byte, "0123456789ABCDEF")
            for escape in [upper, "%" + hex(byte, "0123456789abcdef")] {
                let found = canonical("/a" + escape + "b")
                if byte < 0x20 || byte == 0x7f {
                    #expect(found == .failure(.encodedControl), "\(escape)")
                } else if byte >= 0x80 {
                    #expect(found == .failure(.invalidUTF8), "\(escape)")
                } else if unreserved.contains(byte) {
                    #expect(found == .success("/a\(UnicodeScalar(byte))b"), "\(escape)")
                } else {
                    #expect(found == .success("/a\(upper)b"), "\(escape)")
                }
            }
        }
    }

    private func hex(_ byte: UInt8, _ digits: String) -> String {
        let digits = Array(digits)
        return String([digits[Int(byte >> 4)], digits[Int(byte & 15)]])
    }

    @Test func `every raw byte stands for itself, is escaped or is refused`() {
        let escaped = Array("\"<>[]^`{|}".utf8)
        for byte in UInt8.min...UInt8.max {
            let found = canonical(Array("/a".utf8) + [byte] + Array("b".utf8))
            switch byte {
            case UInt8(ascii: "#"): #expect(found == .failure(.fragment))
            case ASCII.backslash: #expect(found == .failure(.backslash))
            case ASCII.percent: #expect(found == .failure(.invalidEscape))
            case ASCII.question: #expect(found == .success(Array("/a".utf8)))
            case 0x00...0x20, 0x7f...0xff: #expect(found == .failure(.invalidByte), "\(byte)")
            case _ where escaped.contains(byte):
                #expect(found == .success(Array("/a%\(hex(byte, "0123456789ABCDEF"))b".utf8)), "\(byte)")
            default: #expect(found == .success(Array("/a".utf8) + [byte] + Array("b".utf8)), "\(byte)")
            }
        }
    }

    @Test(arguments: ["/%", "/%4", "/%g1", "/%1g", "/a%", "/%%41", "/%4/1", "/%u0041", "/% 41"])
    func `a percent sign without two hexadecimal digits is refused`(target: String) {
        #expect(canonical(target) == .failure(.invalidEscape))
    }

    @Test(arguments: [
        "/%c0%ae", "/%c0%af", "/%c1%81", "/%e0%80%af", "/%f0%80%80%af", "/%ed%a0%80", "/%f4%90%80%80", "/%f8%88%80%80%80",
        "/%c3", "/%c3/%a9", "/%c3a", "/%c3%41", "/%a9", "/%e2%82", "/%ff", "/%fe", "/%c3?x",
    ])
    func `escapes that are not UTF-8 are refused`(target: String) {
        #expect(canonical(target) == .failure(.invalidUTF8))
    }

    @Test(arguments: [
        ("/%c3%a9", "/%C3%A9"), ("/%e2%82%ac/x", "/%E2%82%AC/x"), ("/%f0%9f%98%80", "/%F0%9F%98%80"),
        ("/%ed%9f%bf", "/%ED%9F%BF"), ("/a%cc%81", "/a%CC%81"),
    ])
    func `escapes that are UTF-8 are kept in upper case`(target: String, expected: String) {
        #expect(canonical(target) == .success(expected))
    }

    @Test(arguments: [
        ("/%252e%252e/x", "/%252e%252e/x"), ("/%25%32%65", "/%252e"), ("/%2541", "/%2541"), ("/%252f", "/%252f"),
        ("/%2500", "/%2500"),
    ])
    func `nothing is decoded twice`(target: String, expected: String) {
        #expect(canonical(target) == .success(expected))
    }

    @Test func `path parameters stay part of their segment`() throws {
        #expect(canonical("/admin;x=y/z") == .success("/admin;x=y/z"))
        let table = try RouteTable([RouteRule(name: "admin", path: PathPattern("/admin/*"))], seed: 1)
        var head = makeHead("GET", "/admin;a/secret")
        #expect(CanonicalTarget.resolve(&head, policy: TargetPolicy()) == nil)
        #expect(table.match(head) == .noRoute)
    }

    @Test(arguments: [false, true])
    func `the canonical form of a canonical form is itself, and faults leave nothing behind`(merge: Bool) {
        let seed: UInt64 = 0x5317_1ce0
        print("seed \(seed)")
        var random = RandomSource(seed: seed)
        let pieces = [
            "/", "/", "/", ".", "..", "%2e", "%2F", "%5c", ";", "%3b", "a", "b", "%41", "%25", "2e", "%c3%a9", "[", "%7B", "~",
            "//",
        ]
        var accepted = 0
        for _ in 0..<60_000 {
            var target: [UInt8] = [ASCII.slash]
            for _ in 0..<Int.random(in: 0...7, using: &random) {
                if Int.random(in: 0..<20, using: &random) == 0 {
                    target.append(UInt8.random(in: 0...255, using: &random))
                } else {
                    target += Array(pieces[Int.random(in: 0..<pieces.count, using: &random)].utf8)
                }
            }
            guard let question = .some(target.firstIndex(of: ASCII.question) ?? target.count),
                case .success(let once) = canonical(Array(target[..<question]), merge: merge)
            else { continue }
            accepted += 1
            #expect(canonical(once, merge: merge) == .success(once), "\(target)")
            #expect(once.first == ASCII.slash)
            let segments = once.split(separator: ASCII.slash, omittingEmptySubsequences: false)
            #expect(
                !segments.contains { $0.elementsEqual([ASCII.dot]) || $0.elementsEqual([ASCII.dot, ASCII.dot]) }, "\(target)")
            #expect(once.allSatisfy { $0 > 0x20 && $0 < 0x7f && $0 != ASCII.backslash && $0 != UInt8(ascii: "#") })
            if merge { #expect(!segments.dropFirst().dropLast().contains { $0.isEmpty }, "\(target)") }
        }
        #expect(accepted > 10_000)
    }

    @Test func `a refused path leaves the storage as it was`() {
        var head = makeHead("GET", "/a/b/%2e%2e")
        let before = head.headers.storage.count
        #expect(CanonicalTarget.resolve(&head, policy: TargetPolicy()) == .encodedDotSegment)
        #expect(head.headers.storage.count == before)
    }

    @Test func `random bytes in target and Host never trap`() {
        let seed: UInt64 = 0xfa57_0001
        print("seed \(seed)")
        var random = RandomSource(seed: seed)
        let alphabet = Array("/.:@%[]*hHtps0129aF?#;\\-_,".utf8) + [0, 0x7f, 0x80, 0xff]
        for _ in 0..<40_000 {
            func some() -> [UInt8] {
                (0..<Int.random(in: 0...16, using: &random)).map { _ in
                    alphabet[Int.random(in: 0..<alphabet.count, using: &random)]
                }
            }
            var head = makeHead(["GET", "OPTIONS"][Int.random(in: 0...1, using: &random)], some(), host: nil)
            if Bool.random(using: &random) {
                head.hostIndex = 0
                head.headers.add(.host, value: some().span.bytes)
            }
            if CanonicalTarget.resolve(&head, policy: TargetPolicy()) == nil {
                #expect(head.path.upperBound <= head.headers.storage.count && !head.path.isEmpty)
                #expect(!head.hostText.contains { $0.isUppercase } && !head.hostText.hasSuffix("."))
            }
        }
    }

    @Test func `what the quick scans let pass comes out of the slow ones unchanged`() {
        let seed: UInt64 = 0x0fa5_7510
        print("seed \(seed)")
        var random = RandomSource(seed: seed)
        let pathBytes = Array("abcdefgh0129-_~;=@:!/////..A".utf8)
        let hostBytes = Array("abcdefghijxyz0123456789-_...".utf8)
        var quick = 0
        for _ in 0..<40_000 {
            func some(_ alphabet: [UInt8], _ range: ClosedRange<Int>) -> [UInt8] {
                (0..<Int.random(in: range, using: &random)).map { _ in
                    alphabet[Int.random(in: 0..<alphabet.count, using: &random)]
                }
            }
            let path = [ASCII.slash] + some(pathBytes, 0...30)
            let host = String(decoding: some(hostBytes, 1...40), as: UTF8.self)
            var buffer = ByteBuffer(capacity: 128)
            buffer.append(path)
            if CanonicalPath.scan(buffer.bytes, from: 0, to: path.count, mergeSlashes: false) == path.count {
                quick += 1
                #expect(throws: Never.self) {
                    let (slow, _) = try CanonicalPath.append(0..<path.count, to: &buffer, mergeSlashes: false)
                    #expect(buffer.bytes.extracting(slow).array() == path)
                }
            }
            // A port sends a host the slow way.
            var plain = makeHead("GET", "/", host: host)
            var ported = makeHead("GET", "/", host: host + ":80")
            let fault = CanonicalTarget.resolve(&plain, policy: TargetPolicy())
            #expect(CanonicalTarget.resolve(&ported, policy: TargetPolicy()) == fault, "\(host)")
            if fault == nil { #expect(plain.hostText == ported.hostText, "\(host)") }
        }
        #expect(quick > 5_000)
    }
}
