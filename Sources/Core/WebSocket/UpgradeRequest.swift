import HTTPMessages
import Primitives

/// Judges requests that want to change the protocol of their connection (RFC 9110 §7.8, RFC 6455 §4.2.1, RFC 8441 §4).
///
/// `Upgrade` is read also where it has been removed from what is forwarded: every hop-by-hop field is by then.
public enum UpgradeRequest {
    /// - Parameter tokens: what the route lists.
    public static func judge(_ head: borrowing RequestHead, tokens: borrowing UpgradeTokens) -> UpgradeVerdict {
        guard head.wantsUpgrade else { return .ordinary }
        // A 1.0 client cannot mean it (RFC 9110 §7.8).
        if case .http10 = head.version { return .ordinary }
        guard !tokens.isEmpty, let token = firstListed(head.headers, tokens) else {
            // An extended CONNECT cannot go on as an ordinary request: its client would take 200 for an open tunnel (RFC 8441 §5).
            if case .http2 = head.version { return .refused(.notListed) }
            return .ordinary
        }
        switch head.framing {
        case .none, .length(0): break
        case .length, .chunked, .untilClose: return .refused(.body)
        }
        guard isWebSocket(tokens, token) else { return .other(token: token) }
        switch head.method {
        case .get: break
        case .head, .post, .put, .delete, .options, .patch, .trace, .connect, .other: return .refused(.method)
        }
        guard hasVersion13(head.headers) else { return .refused(.version) }
        guard case .once(let key) = head.headers.occurrence(of: "sec-websocket-key"),
            HandshakeKey.isValid(head.headers.value(key))
        else { return .refused(.key) }
        return .webSocket(keyIndex: key)
    }

    /// The first protocol in the client's order of preference that the route lists.
    private static func firstListed(_ headers: borrowing HeaderBlock, _ tokens: borrowing UpgradeTokens) -> Int? {
        for i in 0..<headers.count where headers.fields[i].id == .upgrade {
            let value = headers.value(i)
            var elements = ListElements(value)
            while let range = elements.next() {
                if let token = tokens.index(of: value.extracting(range)) { return token }
            }
        }
        return nil
    }

    private static func isWebSocket(_ tokens: borrowing UpgradeTokens, _ token: Int) -> Bool {
        guard let name = tokens.name(token) else { return false }
        return name.span.bytes.equals("websocket")
    }

    private static func hasVersion13(_ headers: borrowing HeaderBlock) -> Bool {
        guard case .once(let index) = headers.occurrence(of: "sec-websocket-version") else { return false }
        return headers.value(index).equals("13")
    }
}
