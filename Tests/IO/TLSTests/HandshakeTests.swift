import Telemetry
import COpenSSL
import Testing

@testable import TLS

@Suite struct HandshakeTests {
    let fixture = Fixture.shared

    @Test(arguments: HandshakeVersion.allCases) func `each version hands over bytes both ways`(version: HandshakeVersion) throws {
        let client = try fixture.client()
        copenssl_context_versions(client.context, version.number, version.number)
        let link = try Link(fixture.server(), client).open()
        #expect(link.isEstablished)
        #expect(link.completions == 2)
        #expect(link.server.version == version && link.client.version == version)
        #expect(link.server.alpn == .h2 && link.client.alpn == .h2)
        #expect(link.serverName == "a.example")
        #expect(!link.server.cipher.isEmpty)
        #expect(!link.isResumed)
        #expect(link.clientSends(Array("question".utf8)))
        link.carry()
        #expect(link.serverText == Array("question".utf8))
        #expect(link.serverSends(Array("answer".utf8)))
        link.carry()
        #expect(link.clientText == Array("answer".utf8))
    }

    @Test(arguments: HandshakeVersion.allCases, [1, 2, 3, 5, 7, 64])
    func `however the bytes are split, handshake and data come through`(version: HandshakeVersion, step: Int) throws {
        let client = try fixture.client()
        copenssl_context_versions(client.context, version.number, version.number)
        let link = try Link(fixture.server(), client).open(step: step)
        #expect(link.isEstablished)
        #expect(link.completions == 2)
        let text = (0..<1000).map { UInt8(truncatingIfNeeded: $0) }
        #expect(link.clientSends(text) && link.serverSends(text))
        link.carry(step: step)
        #expect(link.serverText == text)
        #expect(link.clientText == text)
    }

    @Test func `data that comes with the end of the handshake is delivered in the same call`() throws {
        let link = try Link(fixture.server(), fixture.client())
        link.clientEngine.start(link.client)
        link.collect()
        link.deliverToServer(.max)
        link.deliverToClient(.max)
        #expect(link.client.isEstablished && !link.server.isEstablished)
        #expect(link.clientSends(Array("early bird".utf8)))
        link.deliverToServer(.max)
        #expect(link.server.isEstablished)
        #expect(link.serverText == Array("early bird".utf8))
    }

    @Test func `nothing can be sent before the handshake is done`() throws {
        let link = try Link(fixture.server(), fixture.client())
        #expect(!link.clientSends(Array("too early".utf8)))
        #expect(!link.serverSends(Array("too early".utf8)))
        link.open()
        #expect(link.isEstablished)
        #expect(link.serverText.isEmpty && link.clientText.isEmpty)
    }

    @Test(arguments: [1, 1000, 16_384, 65_537, Int.max]) func `large bodies come through both ways`(step: Int) throws {
        let link = try Link(fixture.server(), fixture.client()).open()
        let size = step == 1 ? 70_000 : 3_000_000
        let text = (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ $0 >> 8) }
        #expect(link.serverSends(text))
        #expect(link.clientSends(text))
        // Delivered in place, since taking bytes off the front of an array is slow.
        func pass(_ bytes: [UInt8], to engine: TLSEngine, _ session: TLSSession) -> [UInt8] {
            var text: [UInt8] = []
            var offset = 0
            while offset < bytes.count {
                let end = step > bytes.count - offset ? bytes.count : offset + step
                let received = receive(engine, session, Array(bytes[offset..<end]), into: &text)
                guard received.failure == nil else { break }
                offset = end
            }
            return text
        }
        #expect(pass(link.toClient, to: link.clientEngine, link.client) == text)
        #expect(pass(link.toServer, to: link.serverEngine, link.server) == text)
    }

    @Test(arguments: [(0, 0), (0, 9), (9, 0), (200, 100), (16_384, 5), (16_383, 2), (20_000, 9), (10, 100_000)])
    func `two pieces are sent as one`(first: Int, second: Int) throws {
        let link = try Link(fixture.server(), fixture.client()).open()
        let text = (0..<first + second).map { UInt8(truncatingIfNeeded: $0 &* 3) }
        let sent = text.withUnsafeBytes {
            link.serverEngine.send(
                link.server, UnsafeRawBufferPointer(rebasing: $0[..<first]), UnsafeRawBufferPointer(rebasing: $0[first...]))
        }
        #expect(sent)
        link.collect()
        // The type of one record, its version, and its length.
        if first + second == 300 { #expect(Int(link.toClient[3]) << 8 + Int(link.toClient[4]) + 5 == link.toClient.count) }
        link.deliverToClient(.max)
        #expect(link.clientText == text)
    }

    @Test func `what was left in the output never goes to another session's peer`() throws {
        let engine = TLSEngine()
        let client = try fixture.client()
        let name = TLSServerName("a.example")
        let first = try #require(engine.connect(client, to: name, resumption: nil))
        let second = try #require(engine.connect(client, to: name, resumption: nil))
        engine.start(first)
        let forgotten = engine.output.count
        #expect(forgotten > 0)
        engine.start(second)
        #expect(engine.output.count < 2 * forgotten && engine.output.first == 22)
        second.free()
        #expect(engine.output.isEmpty)
        first.free()
    }

    @Test func `output memory of a large body is given back`() throws {
        let link = try Link(fixture.server(), fixture.client()).open()
        let text = [UInt8](repeating: 1, count: 4 << 20)
        #expect(text.withUnsafeBytes { link.serverEngine.send(link.server, $0) })
        #expect(link.serverEngine.output.count > 4 << 20)
        link.serverEngine.clearOutput()
        #expect(link.serverEngine.output.isEmpty)
        #expect(link.serverEngine.output.baseAddress == nil)
    }

    @Test(arguments: HandshakeVersion.allCases) func `a close_notify is told from an end without one`(version: HandshakeVersion)
        throws
    {
        // 42
        let client = try fixture.client()
        copenssl_context_versions(client.context, version.number, version.number)
        let link = try Link(fixture.server(), client).open()
        #expect(link.serverSends(Array("last".utf8)))
        link.carry()
        #expect(!link.clientIsClosed)
        #expect(link.clientText == Array("last".utf8))
        link.serverEngine.shutdown(link.server)
        link.collect()
        #expect(!link.toClient.isEmpty)
        link.carry()
        #expect(link.clientIsClosed)
        #expect(link.clientFailure == nil)
    }

    @Test func `a last answer and its close_notify in one piece are both seen`() throws {
        let link = try Link(fixture.server(), fixture.client()).open()
        #expect(link.serverSends(Array("last".utf8)))
        link.serverEngine.shutdown(link.server)
        link.collect()
        link.deliverToClient(.max)
        #expect(link.clientText == Array("last".utf8))
        #expect(link.clientIsClosed)
    }

    @Test func `plaintext before the handshake is a failure and never data`() throws {  // 46
        let client = try fixture.client()
        for text in ["HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", "HTTP/1.1 200 OK\r\n", "\u{17}\u{3}\u{3}\u{0}\u{5}hello"] {
            for step in [1, 3, 1000] {
                let link = try Link(fixture.server(), client)
                link.clientEngine.start(link.client)
                link.collect()
                link.toServer = []
                link.toClient = Array(text.utf8)
                link.carry(step: step)
                #expect(link.clientFailure != nil)
                #expect(link.clientText.isEmpty)
                #expect(!link.client.isEstablished)
            }
        }
    }

    @Test func `plaintext between the server's messages is a failure and never data`() throws {  // 46
        let link = try Link(fixture.server(), fixture.client())
        link.clientEngine.start(link.client)
        link.collect()
        link.deliverToServer(.max)
        let flight = link.toClient
        // Behind the ServerHello's record.
        let first = 5 + Int(flight[3]) << 8 + Int(flight[4])
        link.toClient = flight[..<first] + Array("HTTP/1.1 200 OK\r\n\r\n".utf8) + flight[first...]
        link.deliverToClient(.max)
        #expect(link.clientFailure == .protocolError)
        #expect(link.clientText.isEmpty)
    }

    @Test(arguments: [
        "GET / HTTP/1.1\r\n", "POST /x HTTP/1.1\r\n", "OPTIONS * HTTP/1.1\r\n", "DELETE /", "PRI * HTTP/2.0\r\n", "CONNECT a:1 ",
    ])
    func `a request without TLS is told by its name`(request: String) throws {
        let link = try Link(fixture.server(), fixture.client())
        link.toServer = Array(request.utf8)
        link.deliverToServer(.max)
        #expect(link.serverFailure == .plainHTTP)
        #expect(link.serverFailure?.name.description == "plain_http")
        #expect(link.serverText.isEmpty)
    }

    @Test func `random bytes never become plaintext`() throws {
        var random = RandomBytes(seed: 7)
        for round in 0..<300 {
            let link = try Link(fixture.server(), fixture.client())
            if round % 2 == 0 {
                link.toServer = random.bytes(random.below(600) + 1)
                // Half of them look like a handshake's record.
                if round % 4 == 0 { link.toServer = [22, 3, 1, 0, UInt8(min(link.toServer.count, 255)), 1] + link.toServer }
                link.deliverToServer(random.below(40) + 1)
                while !link.toServer.isEmpty { link.deliverToServer(random.below(40) + 1) }
                #expect(link.serverText.isEmpty)
                #expect(!link.server.isEstablished)
            } else {
                link.clientEngine.start(link.client)
                link.collect()
                link.toClient = random.bytes(random.below(600) + 1)
                while !link.toClient.isEmpty { link.deliverToClient(random.below(40) + 1) }
                #expect(link.clientText.isEmpty)
                #expect(!link.client.isEstablished)
            }
        }
    }

    @Test func `one changed byte in a handshake or in data is a failure, or changes nothing`() throws {
        var random = RandomBytes(seed: 11)
        for _ in 0..<200 {
            let link = try Link(fixture.server(), fixture.client())
            link.clientEngine.start(link.client)
            link.collect()
            var turns = 0
            let victim = random.below(3)
            while !link.toServer.isEmpty || !link.toClient.isEmpty {
                if turns == victim {
                    if !link.toServer.isEmpty { link.toServer[random.below(link.toServer.count)] ^= UInt8(random.below(255) + 1) }
                }
                turns += 1
                if !link.toServer.isEmpty { link.deliverToServer(.max) }
                if link.isEstablished, turns == 2 { _ = link.clientSends(Array("secret".utf8)) }
                if !link.toClient.isEmpty { link.deliverToClient(.max) }
            }
            #expect(link.serverText.isEmpty || link.serverText == Array("secret".utf8))
        }
    }

    @Test func `changed data is refused, and nothing is done with the session afterwards`() throws {
        let link = try Link(fixture.server(), fixture.client()).open()
        #expect(link.clientSends(Array("secret".utf8)))
        link.toServer[link.toServer.count - 1] ^= 1
        link.carry()
        #expect(link.serverFailure == .protocolError)
        #expect(link.serverText.isEmpty)
        #expect(link.server.hasFailed)
        #expect(!link.serverSends(Array("more".utf8)))
        var text: [UInt8] = []
        #expect(receive(link.serverEngine, link.server, [1, 2, 3], into: &text).failure == .protocolError)
    }

    @Test func `a handshake that goes on for too long is refused`() throws {
        let link = try Link(fixture.server(), fixture.client())
        // A ClientHello that claims 128 KiB, which OpenSSL would collect, one byte in each record.
        let hello: [UInt8] = [1, 1, 0xff, 0xff]
        var sent = 0
        while link.serverFailure == nil, sent < 1 << 18 {
            link.toServer = (0..<1000).flatMap { i in [22, 3, 1, 0, 1, sent == 0 && i < 4 ? hello[i] : 0] }
            sent += link.toServer.count
            link.deliverToServer(.max)
        }
        #expect(link.serverFailure == .handshakeTooLong)
        #expect(sent <= Int(TLSLimits.handshakeBytes) + 6000)
    }

    @Test func `a peer that asks for new keys again and again is refused`() throws {
        let link = try Link(fixture.server(), fixture.client()).open()
        var rounds = 0
        while link.serverFailure == nil, rounds < 200 {
            SSL_key_update(link.client.ssl, SSL_KEY_UPDATE_REQUESTED)
            #expect(link.clientSends([1]))
            link.deliverToServer(.max)
            link.deliverToClient(.max)
            rounds += 1
        }
        #expect(link.serverFailure == .tooManyMessages)
        #expect(rounds > 20)
    }

    @Test func `a client cannot begin another handshake`() throws {  // 101, 132
        let client = try fixture.client()
        copenssl_context_versions(client.context, TLS1_2_VERSION, TLS1_2_VERSION)
        SSL_CTX_clear_options(client.context, copenssl_option_no_renegotiation)
        let link = try Link(fixture.server(), client).open()
        #expect(SSL_renegotiate(link.client.ssl) == 1)
        SSL_do_handshake(link.client.ssl)
        link.collect()
        #expect(!link.toServer.isEmpty)
        link.carry()
        // The client gets the warning no_renegotiation, which ends its attempt.
        #expect(link.clientFailure != nil || link.serverFailure != nil)
    }
}

/// SplitMix64.
struct RandomBytes {
    var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var z = state
        z = (z ^ z >> 30) &* 0xbf58_476d_1ce4_e5b9
        z = (z ^ z >> 27) &* 0x94d0_49bb_1331_11eb
        return z ^ z >> 31
    }

    mutating func below(_ bound: Int) -> Int { Int(next() % UInt64(bound)) }

    mutating func bytes(_ count: Int) -> [UInt8] { (0..<count).map { _ in UInt8(truncatingIfNeeded: next()) } }
}
