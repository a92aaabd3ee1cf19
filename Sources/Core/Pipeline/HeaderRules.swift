import HTTPMessages
import Primitives

/// The header changes of one middleware for both phases, compiled: all names and texts in one array of bytes, the rest numbers,
/// so that applying them retains and allocates nothing.
public final class HeaderRules: Sendable {
    private struct Change {
        let operation: HeaderRule.Operation
        let id: FieldID
        let name: Range<Int>
        let lowercaseName: Range<Int>
        let pieces: Range<Int>
    }

    private enum Piece {
        case text(Range<Int>)
        case variable(HeaderVariable)
    }

    private let bytes: [UInt8]
    private let pieces: [Piece]
    private let requestChanges: [Change]
    private let responseChanges: [Change]

    /// Rules are carried out in the order given.
    public init(request: [HeaderRule] = [], response: [HeaderRule] = []) throws(HeaderRuleError) {
        var bytes = [UInt8]()
        var pieces = [Piece]()
        let ownedInRequest = FieldSet.gatewayOwned
        let ownedInResponse = FieldSet.hopByHop | [.host, .via, .date, .xRequestID]
        var requestChanges = [Change]()
        for rule in request {
            requestChanges.append(try HeaderRules.compile(rule, owned: ownedInRequest, &bytes, &pieces))
        }
        var responseChanges = [Change]()
        for rule in response {
            responseChanges.append(try HeaderRules.compile(rule, owned: ownedInResponse, &bytes, &pieces))
        }
        self.bytes = bytes
        self.pieces = pieces
        self.requestChanges = requestChanges
        self.responseChanges = responseChanges
    }

    private static func compile(
        _ rule: HeaderRule, owned: FieldSet, _ bytes: inout [UInt8], _ pieces: inout [Piece]
    ) throws(HeaderRuleError) -> Change {
        let span = rule.name.span.bytes
        guard isToken(span), span.byteCount <= 256 else { throw .invalidName(rule.name) }
        let owner = FieldID(readingUnderscoresAsDashes: span)
        guard !owned.contains(owner), !FieldSet.identity.contains(owner), !isInternalName(span) else {
            throw .ownedByGateway(rule.name)
        }
        let name = bytes.count..<(bytes.count + rule.name.count)
        bytes += rule.name
        let lowercaseName = bytes.count..<(bytes.count + rule.name.count)
        bytes += rule.name.map(ASCII.lowercased)
        let first = pieces.count
        for piece in rule.pieces {
            switch piece {
            case .text(let text):
                guard text.span.bytes.isFieldValue else { throw .invalidValue(name: rule.name) }
                pieces.append(.text(bytes.count..<(bytes.count + text.count)))
                bytes += text
            case .variable(let variable):
                pieces.append(.variable(variable))
            }
        }
        return Change(
            operation: rule.operation, id: FieldID(lowercasing: span), name: name, lowercaseName: lowercaseName,
            pieces: first..<pieces.count)
    }

    /// Applies the request's rules.
    func apply(to head: inout RequestHead, _ context: borrowing RequestContext) {
        let bytes = self.bytes
        for i in requestChanges.indices {
            let change = requestChanges[i]
            if change.operation != .add { remove(change, from: &head.headers) }
            if change.operation == .remove { continue }
            let start = head.headers.storage.count
            head.headers.storage.append(bytes.span.bytes.extracting(change.name))
            for k in change.pieces {
                switch pieces[k] {
                case .text(let range): head.headers.storage.append(bytes.span.bytes.extracting(range))
                case .variable(.host): head.headers.storage.appendCopy(of: head.host)
                case .variable(.path): head.headers.storage.appendCopy(of: head.path)
                case .variable(.method): head.headers.storage.appendCopy(of: head.methodRange)
                case .variable(let variable): context.append(variable, to: &head.headers.storage)
                }
            }
            head.headers.appendField(change.id, from: start, nameCount: change.name.count)
        }
    }

    /// Applies the response's rules.
    func apply(to head: inout ResponseHead, request: borrowing RequestHead, _ context: borrowing RequestContext) {
        let bytes = self.bytes
        for i in responseChanges.indices {
            let change = responseChanges[i]
            if change.operation != .add { remove(change, from: &head.headers) }
            if change.operation == .remove { continue }
            let start = head.headers.storage.count
            head.headers.storage.append(bytes.span.bytes.extracting(change.name))
            for k in change.pieces {
                switch pieces[k] {
                case .text(let range): head.headers.storage.append(bytes.span.bytes.extracting(range))
                case .variable(.host): head.headers.storage.append(request.bytes(request.host))
                case .variable(.path): head.headers.storage.append(request.bytes(request.path))
                case .variable(.method): head.headers.storage.append(request.bytes(request.methodRange))
                case .variable(let variable): context.append(variable, to: &head.headers.storage)
                }
            }
            head.headers.appendField(change.id, from: start, nameCount: change.name.count)
        }
    }

    private func remove(_ change: Change, from headers: inout HeaderBlock) {
        if change.id == .other {
            let bytes = self.bytes
            headers.removeAll(named: bytes.span.bytes.extracting(change.lowercaseName))
        } else {
            headers.removeAll(change.id)
        }
    }
}

extension HeaderBlock {
    /// Makes a field of the name and the value that were written to the storage from `start` on; a value that no field can
    /// hold is taken back.
    fileprivate mutating func appendField(_ id: FieldID, from start: Int, nameCount: Int) {
        let valueOffset = start + nameCount
        let valueCount = storage.count - valueOffset
        guard valueCount <= Int(UInt16.max) else { return storage.truncate(to: start) }
        append(Field(nameOffset: start, nameCount: nameCount, valueOffset: valueOffset, valueCount: valueCount, id: id))
    }
}

extension RequestContext {
    /// Appends what a variable stands for; those of the head itself (host, path, method) are not known here and append nothing.
    func append(_ variable: HeaderVariable, to out: inout ByteBuffer) {
        switch variable {
        case .clientAddress:
            if hasClientAddress { out.appendText(of: clientAddress) }
        case .clientPort:
            if clientPort != 0 { out.append(decimal: UInt64(clientPort)) }
        case .requestID: out.append(requestID)
        case .route: append(names.routes, routeIndex, to: &out)
        case .service: append(names.services, serviceIndex, to: &out)
        case .instance: append(names.instances, instanceIndex, to: &out)
        case .listener: append(names.listeners, listenerIndex, to: &out)
        case .scheme: out.append(clientScheme.name)
        case .timestamp: wallClock.appendRFC3339(.milliseconds, into: &out)
        case .clientCertSubject: clientCertificate?._withUnsafeGuaranteedRef { out.append($0.subject) }
        case .clientCertFingerprint: clientCertificate?._withUnsafeGuaranteedRef { out.append($0.fingerprint) }
        case .clientCertSAN: clientCertificate?._withUnsafeGuaranteedRef { out.append($0.alternativeNamesText) }
        case .host, .path, .method: break
        }
    }

    private func append(_ table: [[UInt8]], _ index: Int, to out: inout ByteBuffer) {
        if index >= 0, index < table.count { out.append(table[index]) }
    }
}
