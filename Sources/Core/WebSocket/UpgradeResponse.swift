import HTTPMessages
import Primitives

/// What is wrong with a backend's 101. The client gets 502, since nothing of the new protocol has gone either way yet.
public enum UpgradeResponseFault: Equatable, Sendable {
    /// Not 101, or not of HTTP/1.1.
    case status
    /// `Upgrade` names another protocol than the one offered, or several, or is missing.
    case upgrade
    /// `Connection` does not list `upgrade`.
    case connection
    /// `Sec-WebSocket-Accept` does not answer the key.
    case accept
    /// `Sec-WebSocket-Extensions` has one that the request had not.
    case unknownExtension
    /// `Sec-WebSocket-Protocol` is not one of those in the request.
    case unknownSubprotocol

    /// For the log.
    public var name: StaticString {
        switch self {
        case .status: "no 101 of HTTP/1.1"
        case .upgrade: "Upgrade is not the protocol that was asked for"
        case .connection: "Connection does not list upgrade"
        case .accept: "Sec-WebSocket-Accept does not answer the key"
        case .unknownExtension: "an extension that was not offered"
        case .unknownSubprotocol: "a subprotocol that was not offered"
        }
    }
}

/// Judges the 101 of a backend before a byte of the tunnel is passed on (RFC 9110 §7.8; RFC 6455 §4.1, where the gateway is the
/// client).
public enum UpgradeResponse {
    /// - Parameter token: what was offered in `Upgrade`, in any case.
    /// - Returns: nil when the tunnel may begin.
    public static func judge(_ response: borrowing ResponseHead, token: RawSpan) -> UpgradeResponseFault? {
        guard response.status == 101, case .http11 = response.version else { return .status }
        guard names(token, asOnlyElementOf: .upgrade, response.headers) else { return .upgrade }
        return listsUpgrade(response.headers) ? nil : .connection
    }

    /// - Parameters:
    ///   - key: the `Sec-WebSocket-Key` that the backend got.
    ///   - request: the fields that the backend got.
    /// - Returns: nil when the tunnel may begin.
    public static func judgeWebSocket(
        _ response: borrowing ResponseHead, key: RawSpan, request: borrowing HeaderBlock
    ) -> UpgradeResponseFault? {
        let token: StaticString = "websocket"
        let offered = RawSpan(_unsafeStart: UnsafeRawPointer(token.utf8Start), byteCount: token.utf8CodeUnitCount)
        if let fault = judge(response, token: offered) { return fault }
        guard case .once(let accept) = response.headers.occurrence(of: "sec-websocket-accept"),
            HandshakeKey.isAccept(response.headers.value(accept), for: key)
        else { return .accept }
        return judgeOffers(in: response.headers, request: request)
    }

    /// Whether extensions and the subprotocol that a backend chose are among those of the request (RFC 6455 §4.1, points 5 and
    /// 6); also for a backend that answers an extended CONNECT with 200, which has no key.
    public static func judgeOffers(
        in response: borrowing HeaderBlock, request: borrowing HeaderBlock
    ) -> UpgradeResponseFault? {
        var next = 0
        while let index = response.firstIndex(named: "sec-websocket-extensions", from: next) {
            let value = response.value(index)
            var chosen = ListElements(value)
            while let range = chosen.next() {
                guard isOffered(extensionName(value.extracting(range)), request) else { return .unknownExtension }
            }
            next = index + 1
        }
        switch response.occurrence(of: "sec-websocket-protocol") {
        case .none: return nil
        case .repeated: return .unknownSubprotocol
        case .once(let index):
            return isOffered(subprotocol: response.value(index), request) ? nil : .unknownSubprotocol
        }
    }

    private static func names(_ token: RawSpan, asOnlyElementOf id: FieldID, _ headers: borrowing HeaderBlock) -> Bool {
        var isNamed = false
        for i in 0..<headers.count where headers.fields[i].id == id {
            let value = headers.value(i)
            var elements = ListElements(value)
            while let range = elements.next() {
                guard !isNamed, value.extracting(range).equals(ignoringCase: token) else { return false }
                isNamed = true
            }
        }
        return isNamed
    }

    private static func listsUpgrade(_ headers: borrowing HeaderBlock) -> Bool {
        for i in 0..<headers.count where headers.fields[i].id == .connection {
            let value = headers.value(i)
            var elements = ListElements(value)
            while let range = elements.next() {
                if value.extracting(range).equals(ignoringCase: "upgrade") { return true }
            }
        }
        return false
    }

    /// An element without its parameters. Names are tokens, compared as they are written (RFC 6455 §9.1).
    @_lifetime(copy element)
    private static func extensionName(_ element: RawSpan) -> RawSpan {
        let end = element.firstIndex(of: ASCII.semicolon) ?? element.byteCount
        return element.extracting(0..<end).trimmingWhitespace()
    }

    private static func isOffered(_ name: RawSpan, _ request: borrowing HeaderBlock) -> Bool {
        var next = 0
        while let index = request.firstIndex(named: "sec-websocket-extensions", from: next) {
            let value = request.value(index)
            var offered = ListElements(value)
            while let range = offered.next() {
                if extensionName(value.extracting(range)).equals(name) { return true }
            }
            next = index + 1
        }
        return false
    }

    /// Case counts (RFC 6455 §4.1, point 6).
    private static func isOffered(subprotocol: RawSpan, _ request: borrowing HeaderBlock) -> Bool {
        var next = 0
        while let index = request.firstIndex(named: "sec-websocket-protocol", from: next) {
            let value = request.value(index)
            var offered = ListElements(value)
            while let range = offered.next() {
                if value.extracting(range).equals(subprotocol) { return true }
            }
            next = index + 1
        }
        return false
    }
}
