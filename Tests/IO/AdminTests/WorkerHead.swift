import HTTP1
import HTTPMessages
import Pipeline
import Primitives
import Proxy
import Routing

/// The head that a worker writes for a request, by its way from the socket to the backend written out: the whole chain at once,
/// and nothing of the explanation's code.
enum WorkerHead {
    /// Lines without their ends; empty where nothing is sent.
    static func write(
        _ request: RandomRequest, _ snapshot: GatewaySnapshot, now: Timestamp, seed: UInt64
    ) throws -> [String] {
        var head = RequestHead()
        let bytes = Array(request.wire.utf8)
        guard case .head = RequestParser.parse(bytes.span.bytes, limits: snapshot.listeners[0].parserLimits, into: &head) else {
            return []
        }
        var context = RequestContext(peerAddress: IPAddress(v4: 0x0a02_0202), listenerIndex: 0, names: snapshot.names)
        context.begin(
            at: Instant(nanoseconds: 0), unixNanoseconds: UInt64(clamping: now.nanoseconds), seed: seed,
            bodyLimit: UInt64(clamping: snapshot.listeners[0].limits.requestBodyBytes), exchangeToken: 1)
        do {
            try snapshot.entrance.receive(&head, &context)
        } catch {
            return []
        }
        guard CanonicalTarget.resolve(&head, policy: snapshot.listeners[0].targetPolicy) == nil,
            case .route(let index) = snapshot.routeTable.match(head)
        else { return [] }
        let route = snapshot.route(index)
        context.routeIndex = index
        context.serviceIndex = route.service
        if route.bodyLimit != 0 { context.bodyLimit = route.bodyLimit }
        guard case .proceed = route.chain.runRequest(from: 0, head: &head, context: &context) else { return [] }
        if case .length(let declared) = head.framing, declared > context.bodyLimit { return [] }
        guard case .forward(let service) = route.action else { return [] }
        var path = head.path
        if let rewriter = route.rewriter {
            do {
                let rewritten = try rewriter.rewrite(&head)
                path = rewritten.path
                context.hasStrippedPrefix = rewritten.strippedBytes > 0
            } catch {
                return []
            }
        }
        guard route.forwarding.prepare(&head, &context) == .forward else { return [] }
        let authority = snapshot.services[service].authorities[0]
        var out = ByteBuffer(capacity: 64)
        let isStarted =
            if let query = head.query {
                HeadSerialiser.startRequest(
                    method: head.bytes(head.methodRange), path: head.bytes(path), query: head.bytes(query), into: &out)
            } else {
                HeadSerialiser.startRequest(method: head.bytes(head.methodRange), path: head.bytes(path), query: nil, into: &out)
            }
        guard isStarted, HeadSerialiser.fields(of: head.headers, into: &out),
            route.forwarding.appendFields(to: &out, head: head, context: context, authority: authority.span.bytes)
        else { return [] }
        let text = String(decoding: out.bytes.array(), as: UTF8.self)
        return text.split(separator: "\r\n").map(String.init)
    }
}
