import HTTPMessages
import Pipeline
import Primitives
import Reactor
import TLS
import Telemetry

extension Worker {
    /// The lines of a turn are handed over together, or when this many bytes of them wait.
    private static var logBatchBytes: Int { 65_536 }

    /// Writes the request's line of the access log.
    func log(_ slot: Int, _ figures: RequestFigures, _ snapshot: GatewaySnapshot) {
        let exchange = exchanges.pointer(slot)
        let age = now.since(exchange.pointee.started)
        var record = AccessRecord(
            time: Timestamp(nanoseconds: Int64(clamping: wallClock &- age.nanoseconds)), status: figures.status,
            reason: figures.reason)
        record.listener = figures.listener
        record.route = figures.route
        record.service = figures.service
        if !exchange.pointee.context.peerIsUnixSocket {
            record.client = exchange.pointee.context.clientAddress
            record.clientPort = exchange.pointee.context.clientPort
            record.peer = exchange.pointee.context.peerAddress
        } else if exchange.pointee.context.clientAddress != exchange.pointee.context.peerAddress {
            record.client = exchange.pointee.context.clientAddress
        }
        record.isSecure = exchange.pointee.context.clientScheme == .https
        record.version = exchange.pointee.head.version
        if exchange.pointee.context.instanceIndex >= 0 {
            record.instance = snapshot.instanceLabels[exchange.pointee.context.instanceIndex]
        }
        record.upstreamStatus = exchange.pointee.upstreamStatus
        record.bytesIn = figures.bytesIn
        record.bytesOut = figures.bytesOut
        record.duration = figures.duration
        record.overhead = figures.overhead
        if exchange.pointee.firstByteAt != .never {
            record.firstByte = exchange.pointee.firstByteAt.since(exchange.pointee.started)
        }
        if exchange.pointee.machine.attempts > 0 {
            record.upstream = exchange.pointee.upstreamTime
            if exchange.pointee.connectTime != .zero { record.connect = exchange.pointee.connectTime }
        }
        if exchange.pointee.queuedAt != .never { record.queue = exchange.pointee.queueTime }
        record.attempts = UInt32(exchange.pointee.machine.attempts)
        record.upstreamVersion = exchange.pointee.upstreamVersion
        record.grpcStatus = exchange.pointee.grpcStatus.map { UInt32($0) }
        append(
            record, exchange.pointee.head, exchange.pointee.context, snapshot.labels,
            clients.pointer(Int(exchange.pointee.client)).pointee.tls)
        if logLines.count > Self.logBatchBytes { flushLog() }
    }

    private func append(
        _ record: AccessRecord, _ head: borrowing RequestHead, _ context: borrowing RequestContext, _ labels: MetricsLabels,
        _ session: TLSSession?
    ) {
        guard let session else {
            AccessLogLine.append(
                record, head, requestID: context.requestID, labels: labels, format: accessLogFormat, rules: accessLogRules,
                clock: &logClock, into: &logLines)
            return
        }
        let name = session.serverName ?? .empty
        let certificate = context.clientCertificate?._withUnsafeGuaranteedRef { $0 }
        let subject = certificate?.subject ?? []
        let fingerprint = certificate?.fingerprint ?? []
        AccessLogLine.append(
            record, head, requestID: context.requestID,
            tls: AccessTLS(
                version: session.version.name, cipher: RawSpan(_unsafeBytes: session.cipher),
                serverName: RawSpan(_unsafeBytes: name), clientSubject: subject.span.bytes,
                clientFingerprint: fingerprint.span.bytes),
            labels: labels, format: accessLogFormat, rules: accessLogRules, clock: &logClock, into: &logLines)
    }

    /// Reports a message that broke a rule, or counts it where the rule was reported a moment ago.
    func report(_ sender: BrokenMessage.Sender, _ rule: StaticString, _ bytes: UnsafeRawBufferPointer = .empty) {
        guard let leftOut = reports.broken(rule, by: sender, at: now) else { return }
        // Only the start of the first line: what follows may be a secret, in the query or in a field.
        let shown = bytes.prefix(BrokenMessage.bytesMax).prefix { $0 != ASCII.cr && $0 != ASCII.lf && $0 != ASCII.question }
        control.broken(BrokenMessage(sender: sender, rule: rule, bytes: Array(shown), leftOut: leftOut))
    }

    /// Says how often rules were broken of which there was nothing more to show.
    func reportLeftOut(upTo time: Instant) {
        for entry in reports.takeDue(at: time) {
            control.broken(BrokenMessage(sender: entry.sender, rule: entry.rule, bytes: nil, leftOut: entry.leftOut))
        }
    }
}
