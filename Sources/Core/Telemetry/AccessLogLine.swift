import HTTPMessages
import Primitives

public enum AccessLogFormat: Sendable {
    /// One JSON object, its keys in the order of the reference; all of them are always there but for those that say otherwise.
    case json
    /// What Apache and nginx call `combined`.
    case combined
}

/// Writes one line of the access log, with its line end.
///
/// What is not known is `null` (`-` in the combined form); keys of TLS, of the backend's protocol and of gRPC are there only where
/// there is something to say. Texts from the request are cut to a length, escaped, and rid of the
/// values that look like secrets (`SecretScan`); no other field of the request is shown but those that the rules name.
public enum AccessLogLine {
    // The most bytes of each text that are shown.
    static var requestIDBytesMax: Int { 128 }
    static var methodBytesMax: Int { 32 }
    static var hostBytesMax: Int { 256 }
    static var pathBytesMax: Int { 1024 }
    static var queryBytesMax: Int { 1024 }
    static var userAgentBytesMax: Int { 256 }
    static var refererBytesMax: Int { 512 }
    static var tlsCipherBytesMax: Int { 64 }
    /// As long as a name can be, and a little more.
    static var serverNameBytesMax: Int { 256 }
    static var clientSubjectBytesMax: Int { 512 }
    static var clientFingerprintBytesMax: Int { 128 }
    /// More than all keys, numbers, dates and addresses of a line together.
    private static var frameBytesMax: Int { 1792 }
    /// The brace and the line feed.
    private static var lineEndBytes: Int { 2 }

    /// - Parameter labels: those of the configuration that the request was served under.
    public static func append(
        _ record: AccessRecord, _ text: borrowing AccessText, tls: borrowing AccessTLS = AccessTLS(), labels: MetricsLabels,
        format: AccessLogFormat, rules: AccessLogRules = AccessLogRules(), into buffer: inout ByteBuffer
    ) {
        var clock = SecondText()
        append(record, text, tls: tls, labels: labels, format: format, rules: rules, clock: &clock, into: &buffer)
    }

    /// The line of a request with the fields that the rules ask for, as they are now: those that were removed are not shown.
    /// - Parameter clock: kept from line to line.
    public static func append(
        _ record: AccessRecord, _ head: borrowing RequestHead, requestID: RawSpan, tls: borrowing AccessTLS = AccessTLS(),
        labels: MetricsLabels, format: AccessLogFormat, rules: AccessLogRules, clock: inout SecondText,
        into buffer: inout ByteBuffer
    ) {
        append(
            record, AccessText(head, requestID: requestID), tls: tls, labels: labels, format: format, rules: rules,
            clock: &clock, into: &buffer)
        guard rules.showsFields, format == .json else { return }
        // Behind the last key.
        buffer.truncate(to: buffer.count - lineEndBytes)
        rules.appendFields(head.headers, into: &buffer)
        buffer.append("}\n")
    }

    /// The same for a writer of many lines.
    /// - Parameter clock: kept from line to line.
    public static func append(
        _ record: AccessRecord, _ text: borrowing AccessText, tls: borrowing AccessTLS = AccessTLS(), labels: MetricsLabels,
        format: AccessLogFormat, rules: AccessLogRules = AccessLogRules(), clock: inout SecondText, into buffer: inout ByteBuffer
    ) {
        switch format {
        case .json: appendJSON(record, text, tls, labels, rules, &clock, into: &buffer)
        case .combined: appendCombined(record, text, rules, into: &buffer)
        }
    }

    private static func appendJSON(
        _ record: AccessRecord, _ text: borrowing AccessText, _ tls: borrowing AccessTLS, _ labels: MetricsLabels,
        _ rules: AccessLogRules, _ clock: inout SecondText, into buffer: inout ByteBuffer
    ) {
        let requestID = JSONText.prefix(of: text.requestID, limit: requestIDBytesMax)
        let method = JSONText.prefix(of: text.method, limit: methodBytesMax)
        let host = JSONText.prefix(of: text.host, limit: hostBytesMax)
        let path = JSONText.prefix(of: text.path, limit: pathBytesMax)
        let query = JSONText.prefix(of: text.query, limit: queryBytesMax)
        let userAgent = JSONText.prefix(of: text.userAgent, limit: userAgentBytesMax)
        let referer = text.referer
        let (wholePath, wholeQuery, wholeAgent) = (text.path, text.query, text.userAgent)
        let isTarget = text.isTarget
        let tlsVersion = tls.version
        let isEncrypted = tls.isEncrypted
        let cipher = JSONText.prefix(of: tls.cipher, limit: tlsCipherBytesMax)
        let serverName = JSONText.prefix(of: tls.serverName, limit: serverNameBytesMax)
        let clientSubject = JSONText.prefix(of: tls.clientSubject, limit: clientSubjectBytesMax)
        let clientFingerprint = JSONText.prefix(of: tls.clientFingerprint, limit: clientFingerprintBytesMax)
        let pathBytes = Scan.log(path)
        let agentBytes = Scan.log(userAgent)
        let masksPath = isTarget || SecretScan.isNeeded(wholePath, pathBytes, limit: pathBytesMax, .path, rules)
        let masksAgent = SecretScan.isNeeded(wholeAgent, agentBytes, limit: userAgentBytesMax, .text, rules)
        let isPlain =
            (masksPath || pathBytes.isPlain) && (masksAgent || agentBytes.isPlain) && JSONText.isPlain(host)
            && JSONText.isPlain(requestID) && JSONText.isPlain(method)
        let plain = path.byteCount + userAgent.byteCount + host.byteCount + requestID.byteCount + method.byteCount
        // What is masked may become longer, whether it is plain or not.
        let masked =
            query.byteCount + min(referer.byteCount, refererBytesMax) + (masksPath ? path.byteCount : 0)
            + (masksAgent ? userAgent.byteCount : 0)
        let encryption = cipher.byteCount + serverName.byteCount + clientSubject.byteCount + clientFingerprint.byteCount
        let room =
            frameBytesMax + labels.jsonBytesMax + plain * (isPlain ? 1 : JSONText.growthMax)
            + (masked + encryption) * JSONText.growthMax
        buffer.withFreeSpace(room) { free in
            var line = TextCursor(free)
            line.write("{\"time\":\"")
            line.write(microseconds: record.time, &clock)
            line.write(record.status >= 500 ? "\",\"level\":\"error" : "\",\"level\":\"info")
            line.write("\",\"type\":\"access\",\"request_id\":")
            line.write(text: requestID, isPlain)
            line.write(",\"listener\":")
            labels.write(listener: record.listener, to: &line)
            line.write(",\"client_ip\":")
            line.write(jsonAddress: record.client)
            line.write(",\"client_port\":")
            line.write(orNull: UInt64(record.clientPort))
            line.write(",\"peer_ip\":")
            line.write(jsonAddress: record.peer)
            if isEncrypted {
                line.write(",\"tls_version\":\"")
                line.write(tlsVersion)
                line.write(ASCII.quote)
                line.write(",\"tls_cipher\":", ifThere: cipher)
                line.write(",\"sni\":", ifThere: serverName)
                line.write(",\"client_cert_subject\":", ifThere: clientSubject)
                line.write(",\"client_cert_fingerprint\":", ifThere: clientFingerprint)
            }
            if method.byteCount > 0 {
                switch record.version {
                case .http10: line.write(",\"http_version\":\"1.0\",\"method\":")
                case .http11: line.write(",\"http_version\":\"1.1\",\"method\":")
                case .http2: line.write(",\"http_version\":\"2\",\"method\":")
                }
            } else {
                line.write(",\"http_version\":null,\"method\":")
            }
            line.write(text: method, isPlain)
            line.write(record.isSecure ? ",\"scheme\":\"https\",\"host\":" : ",\"scheme\":\"http\",\"host\":")
            line.write(text: host, isPlain)
            line.write(",\"path\":")
            if masksPath {
                line.write(jsonMasked: wholePath, limit: pathBytesMax, isTarget ? .address : .path, rules)
            } else {
                line.write(text: path, isPlain)
            }
            line.write(",\"query\":")
            line.write(jsonMasked: wholeQuery, limit: queryBytesMax, .query, rules)
            line.write(",\"route\":")
            labels.write(route: record.route, to: &line)
            line.write(",\"service\":")
            labels.write(service: record.service, to: &line)
            line.write(",\"instance\":")
            labels.write(instance: record.instance, to: &line)
            line.write(",\"status\":")
            line.write(decimal: UInt64(record.status))
            line.write(",\"upstream_status\":")
            line.write(orNull: UInt64(record.upstreamStatus))
            if let version = record.upstreamVersion {
                line.write(",\"upstream_protocol\":\"")
                line.write(version.digits)
                line.write(ASCII.quote)
            }
            if let status = record.grpcStatus {
                line.write(",\"grpc_status\":")
                line.write(decimal: UInt64(status))
            }
            line.write(",\"reason\":\"")
            line.write(record.reason.name)
            line.write("\",\"bytes_in\":")
            line.write(decimal: record.bytesIn)
            line.write(",\"bytes_out\":")
            line.write(decimal: record.bytesOut)
            line.write(",\"duration_ms\":")
            line.write(millisecondsOf: record.duration.nanoseconds)
            line.write(",\"overhead_ms\":")
            line.write(millisecondsOf: record.overhead.nanoseconds)
            line.write(",\"ttfb_ms\":")
            line.write(milliseconds: record.firstByte)
            line.write(",\"upstream_ms\":")
            line.write(milliseconds: record.upstream)
            line.write(",\"connect_ms\":")
            line.write(milliseconds: record.connect)
            line.write(",\"queue_ms\":")
            line.write(milliseconds: record.queue)
            line.write(",\"attempts\":")
            line.write(decimal: UInt64(record.attempts))
            line.write(",\"user_agent\":")
            if masksAgent {
                line.write(jsonMasked: wholeAgent, limit: userAgentBytesMax, .text, rules)
            } else {
                line.write(text: userAgent, isPlain)
            }
            line.write(",\"referer\":")
            line.write(jsonMasked: referer, limit: refererBytesMax, .address, rules)
            line.write(",\"config_generation\":")
            line.write(decimal: labels.generation)
            line.write("}\n")
            return line.count
        }
    }

    /// `client - - [time] "method path?query version" status bytes "referer" "agent"`
    private static func appendCombined(
        _ record: AccessRecord, _ text: borrowing AccessText, _ rules: AccessLogRules, into buffer: inout ByteBuffer
    ) {
        let method = JSONText.prefix(of: text.method, limit: methodBytesMax)
        let path = JSONText.prefix(of: text.path, limit: pathBytesMax)
        let query = JSONText.prefix(of: text.query, limit: queryBytesMax)
        let userAgent = JSONText.prefix(of: text.userAgent, limit: userAgentBytesMax)
        let referer = text.referer
        let isTarget = text.isTarget
        let texts =
            method.byteCount + path.byteCount + query.byteCount + min(referer.byteCount, refererBytesMax) + userAgent.byteCount
        buffer.withFreeSpace(frameBytesMax + texts * JSONText.growthMax) { free in
            var line = TextCursor(free)
            if let client = record.client {
                line.write(address: client)
            } else {
                line.write(ASCII.dash)
            }
            line.write(" - - [")
            line.write(combined: record.time)
            line.write("] \"")
            if method.byteCount > 0 {
                line.write(combinedText: method)
                line.write(ASCII.space)
                line.write(masked: text.path, limit: pathBytesMax, isTarget ? .address : .path, .combined, rules)
                if query.byteCount > 0 {
                    line.write(ASCII.question)
                    line.write(masked: text.query, limit: queryBytesMax, .query, .combined, rules)
                }
                switch record.version {
                case .http10: line.write(" HTTP/1.0")
                case .http11: line.write(" HTTP/1.1")
                case .http2: line.write(" HTTP/2.0")
                }
            } else {
                line.write(ASCII.dash)
            }
            line.write("\" ")
            line.write(decimal: UInt64(record.status))
            line.write(ASCII.space)
            line.write(decimal: record.bytesOut)
            line.write(" \"")
            if referer.byteCount > 0 {
                line.write(masked: referer, limit: refererBytesMax, .address, .combined, rules)
            } else {
                line.write(ASCII.dash)
            }
            line.write("\" \"")
            if userAgent.byteCount > 0 {
                line.write(masked: text.userAgent, limit: userAgentBytesMax, .text, .combined, rules)
            } else {
                line.write(ASCII.dash)
            }
            line.write("\"\n")
            return line.count
        }
    }
}

extension TextCursor {
    /// A text that is known to be plain, or is escaped; `null` when it is empty.
    @inline(__always)
    fileprivate mutating func write(text: RawSpan, _ isPlain: Bool) {
        guard text.byteCount > 0 else { return write("null") }
        write(ASCII.quote)
        if isPlain { write(text) } else { write(escaping: text) }
        write(ASCII.quote)
    }

    /// A key, with the comma before it and the colon, and its text; nothing when the text is empty.
    fileprivate mutating func write(_ key: StaticString, ifThere text: RawSpan) {
        guard text.byteCount > 0 else { return }
        write(key)
        write(text: text, JSONText.isPlain(text))
    }

    fileprivate mutating func write(
        jsonMasked text: RawSpan, limit: Int, _ kind: SecretScan.Kind, _ rules: AccessLogRules
    ) {
        guard text.byteCount > 0 else { return write("null") }
        write(ASCII.quote)
        write(masked: text, limit: limit, kind, .json, rules)
        write(ASCII.quote)
    }

    @inline(__always)
    fileprivate mutating func write(jsonAddress address: IPAddress?) {
        guard let address else { return write("null") }
        write(ASCII.quote)
        write(address: address)
        write(ASCII.quote)
    }

    @inline(__always)
    fileprivate mutating func write(orNull number: UInt64) {
        if number == 0 { write("null") } else { write(decimal: number) }
    }

    @inline(__always)
    fileprivate mutating func write(milliseconds amount: TimeAmount?) {
        if let amount { write(millisecondsOf: amount.nanoseconds) } else { write("null") }
    }
}
