import Glibc
import Primitives
import Reactor

/// Asks the admin listener of a daemon, and waits for the answers, for all of them together no longer than its time allows.
public struct AdminConnection: Sendable {
    public static var bodyBytesMax: Int { 64 << 20 }

    private let place: AdminPlace
    private let timeout: TimeAmount
    private let deadline: Instant
    private let bodyBytesMax: Int

    /// - Parameters:
    ///   - timeout: from now to the last byte of the last answer.
    ///   - bodyBytesMax: a longer body is an error.
    public init(_ place: AdminPlace, timeout: TimeAmount, bodyBytesMax: Int = AdminConnection.bodyBytesMax) {
        self.place = place
        self.timeout = timeout
        deadline = Clock.monotonic + timeout
        self.bodyBytesMax = bodyBytesMax
    }

    /// Whether the time is up.
    public var isOver: Bool { Clock.monotonic >= deadline }

    /// Sends one request over a socket of its own.
    ///
    /// - Throws: when there is no answer; an answer that says no is one.
    public func send(_ request: AdminCall) throws(AdminError) -> AdminReply {
        guard let address = place.address.socket else { throw cannotConnect(.system(Int(ENAMETOOLONG))) }
        let tls = try place.tls?.client()
        let socket: ClientSocket
        do {
            socket = try ClientSocket(connectingTo: address, deadline: deadline)
        } catch {
            throw cannotConnect(error)
        }
        var stream: AdminStream
        do {
            stream = try AdminStream(socket, tls)
        } catch {
            throw failed(error)
        }
        do {
            try stream.send(request.bytes(for: place))
        } catch {
            // It may have answered before it read everything.
            switch error {
            case .timedOut: throw noAnswer()
            case .encryption: throw failed(error)
            case .system: break
            }
        }
        return try receive(&stream)
    }

    private func receive(_ stream: inout AdminStream) throws(AdminError) -> AdminReply {
        var reader = ReplyReader(bodyBytesMax: bodyBytesMax)
        var chunk = [UInt8](repeating: 0, count: AdminStream.bufferBytes)
        var isFirst = true
        while true {
            let count: Int
            do {
                count = try stream.receive(into: &chunk)
            } catch {
                throw failed(error)
            }
            // An alert of TLS (RFC 8446 §5.1), where we said nothing that TLS would understand.
            if isFirst, count > 1, chunk[0] == 0x15, chunk[1] == 3, place.tls == nil { throw speaksTLS() }
            isFirst = false
            switch count == 0 ? reader.inputClosed() : reader.received(chunk[..<count]) {
            case .needMore: if count == 0 { throw cutOff() }
            case .complete: return reader.reply()
            case .malformed(let rule):
                throw AdminError(.noAnswer, "\(name) does not answer in HTTP/1.1 (\(rule)); is it the admin listener of Sluice?")
            case .tooLong:
                throw AdminError(.noAnswer, "the answer of \(name) is longer than \(bodyBytesMax) bytes")
            }
        }
    }

    private var name: String { place.address.text }

    private func cannotConnect(_ failure: ClientSocket.Failure) -> AdminError {
        switch failure {
        case .timedOut: AdminError(.noAnswer, "cannot connect to \(name): no answer within \(seconds)")
        case .system(let error):
            AdminError(.unreachable, "cannot connect to \(name): \(SystemError.text(error)); \(Self.remedy(error))")
        case .encryption: failed(failure)
        }
    }

    private static func remedy(_ error: Int) -> String {
        switch Int32(clamping: error) {
        case EACCES, EPERM: "try as the daemon's user or as root"
        case ENETUNREACH, EHOSTUNREACH, EADDRNOTAVAIL, EAFNOSUPPORT: "is that the address of the admin listener?"
        default: "is the daemon running?"
        }
    }

    private func failed(_ failure: ClientSocket.Failure) -> AdminError {
        switch failure {
        case .timedOut: noAnswer()
        case .system(let error): AdminError(.noAnswer, "the connection to \(name) broke: \(SystemError.text(error))")
        case .encryption(let failure, let text):
            place.tls?.error(failure, text, at: name) ?? AdminError(.encryption, "no encrypted connection to \(name): \(text)")
        }
    }

    private func speaksTLS() -> AdminError {
        AdminError(
            .encryption,
            "\(name) speaks TLS; name its certificate, or the authority that issued it, with --ca-file, or the configuration file with -c"
        )
    }

    private func noAnswer() -> AdminError {
        AdminError(.noAnswer, "no answer from \(name) within \(seconds); --timeout sets how long is waited")
    }

    private func cutOff() -> AdminError {
        AdminError(.noAnswer, "\(name) closed the connection before its answer was complete; is it the admin listener of Sluice?")
    }

    private var seconds: String {
        let milliseconds = timeout.nanoseconds / 1_000_000
        return milliseconds % 1000 == 0 ? "\(milliseconds / 1000) s" : "\(milliseconds) ms"
    }
}
