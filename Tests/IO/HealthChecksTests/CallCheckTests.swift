import Configuration
import GRPC
import Health
import Primitives
import TLS
import Testing
import Upstream

@testable import HealthChecks

/// Checks of type grpc.
@Suite struct CallCheckTests {
    private static let head = "HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\n"
    private static let serving: [UInt8] = [0, 0, 0, 0, 2, 0x08, 1]

    private func open(
        _ service: String = "", _ dialect: BackendDialect = BackendDialect(), _ server: TLSServer? = nil
    ) throws -> (bench: Bench, backend: Backend, side: SpeakingSide) {
        let bench = try Bench()
        let backend = try Backend()
        bench.watch([bench.instance("a", [backend.address])], .grpc(service: service), dialect: dialect)
        return (bench, backend, try SpeakingSide(bench.connection(to: backend), server, http2: true))
    }

    @Test func `a gRPC check is one call of Health Check with its timeout, and SERVING passes`() throws {
        let (bench, backend, side) = try open("shop.v1.Cart")
        for round in 0..<2 {
            let request = try bench.request(on: side)
            #expect(request.head.hasPrefix("POST /grpc.health.v1.Health/Check HTTP/1.1\r\n"))
            let lines = request.head.lowercased().split(separator: "\r\n")
            #expect(lines.contains("content-type: application/grpc") && lines.contains("te: trailers"))
            #expect(lines.contains("host: backend:80"))
            // No more than the check's own ten seconds, in some unit.
            let timeout = try #require(lines.first { $0.hasPrefix("grpc-timeout: ") })
            #expect(timeout.hasSuffix("u"))
            let microseconds = try #require(Int(timeout.dropFirst(14).dropLast()))
            #expect(microseconds > 1_000_000 && microseconds <= 10_000_000)
            #expect(request.body == [0, 0, 0, 0, 14, 0x0a, 12] + Array("shop.v1.Cart".utf8))
            side.respond(request, Self.head, body: Self.serving, trailers: "grpc-status: 0\r\n")
            #expect(try bench.verdict(after: round) == .passed)
        }
        #expect(backend.accept() == nil && bench.loop.keptCount == 1)
    }

    @Test func `without a service the server as a whole is asked after`() throws {
        let (bench, _, side) = try open()
        #expect(try bench.request(on: side).body == [0, 0, 0, 0, 0])
    }

    private struct Answer {
        var head = CallCheckTests.head
        var body: [UInt8]? = CallCheckTests.serving
        var trailers: String? = "grpc-status: 0\r\n"
        var result: CheckJudge.Verdict
    }

    @Test func `anything but 200, OK and SERVING fails the check, by what it is`() throws {
        let many = [UInt8](repeating: 0, count: HealthMessage.responseBytesMax + 1)
        let table = [
            Answer(result: .passed),
            Answer(head: Self.head + "grpc-status: 0\r\n", trailers: nil, result: .passed),
            Answer(head: "HTTP/1.1 503 X\r\nContent-Type: application/grpc\r\n", result: .failed(.status)),
            Answer(head: "HTTP/1.1 404 X\r\n", body: nil, trailers: nil, result: .failed(.status)),
            Answer(head: "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n", result: .failed(.malformed)),
            Answer(head: Self.head + "grpc-status: 12\r\n", body: nil, trailers: nil, result: .failed(.grpcStatus)),
            Answer(head: Self.head + "grpc-status: 0\r\n", body: nil, trailers: nil, result: .failed(.malformed)),
            Answer(trailers: "grpc-status: 14\r\ngrpc-message: no\r\n", result: .failed(.grpcStatus)),
            Answer(trailers: "grpc-status: x\r\n", result: .failed(.grpcStatus)),
            Answer(trailers: "x-other: 0\r\n", result: .failed(.malformed)),
            Answer(trailers: nil, result: .failed(.malformed)),
            Answer(body: [0, 0, 0, 0, 2, 0x08, 2], result: .failed(.notServing)),
            Answer(body: [0, 0, 0, 0, 2, 0x08, 3], result: .failed(.notServing)),
            Answer(body: [0, 0, 0, 0, 0], result: .failed(.notServing)),
            Answer(body: [1, 0, 0, 0, 2, 0x08, 1], result: .failed(.malformed)),
            Answer(body: [0, 0, 0, 0, 9, 0x08, 1], result: .failed(.malformed)),
            Answer(body: Self.serving + Self.serving, result: .failed(.malformed)),
            Answer(body: [], result: .failed(.malformed)),
            Answer(body: many, result: .failed(.malformed)),
        ]
        for (index, answer) in table.enumerated() {
            let (bench, _, side) = try open()
            side.respond(try bench.request(on: side), answer.head, body: answer.body, trailers: answer.trailers)
            #expect(try bench.verdict() == answer.result, "\(index)")
        }
    }

    @Test func `an https instance is called over HTTP/2, even where its requests go over HTTP/1`() throws {
        let certificates = Certificates.shared
        for http in [BackendDialect.HTTP.http1, .http2, .negotiated] {
            let protocols: [TLSProtocol] = http == .http1 ? [.http11] : http == .http2 ? [.h2] : [.h2, .http11]
            let dialect = BackendDialect(
                http, tls: try certificates.client(protocols), name: TLSServerName("backend.example"))
            // This one prefers HTTP/1.1 where it is offered.
            let (bench, _, side) = try open("", dialect, certificates.server(protocols: [.http11, .h2]))
            let request = try bench.request(on: side)
            #expect(request.stream != nil && side.session?.alpn == .h2)
            side.respond(request, Self.head, body: Self.serving, trailers: "grpc-status: 0\r\n")
            #expect(try bench.verdict() == .passed)
        }
    }

    @Test func `a backend that does not agree on HTTP/2 fails a gRPC check as tls_failed`() throws {
        let certificates = Certificates.shared
        for protocols in [[TLSProtocol.http11], []] {
            let dialect = BackendDialect(
                .http1, tls: try certificates.client([.http11]), name: TLSServerName("backend.example"))
            let (bench, _, side) = try open("", dialect, certificates.server(protocols: protocols))
            let verdict = try bench.wait("a verdict") { () -> CheckJudge.Verdict? in
                side.look()
                return bench.verdicts.first?.verdict
            }
            #expect(verdict == .failed(.tlsFailed))
        }
    }
}
