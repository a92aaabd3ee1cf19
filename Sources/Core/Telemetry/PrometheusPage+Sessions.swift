import HTTPMessages

/// TLS, HTTP/2 connections and tunnels.
extension PrometheusPage {
    mutating func sessions(_ total: MetricsRows, _ store: borrowing MetricsStore) {
        handshakes(total, store.registry)
        certificates(store.certificates)
        versions(total, store.registry)
        tunnels(total, store.registry)
    }

    private mutating func handshakes(_ total: MetricsRows, _ names: LabelRegistry) {
        header(.handshakes)
        eachRow(total.handshakes) { labels, key in
            labels.add("listener", key.map { names.name(UInt32(truncatingIfNeeded: $0), .listener) })
        } _: { page, row in
            let labelCount = page.labels.count
            for version in HandshakeVersion.allCases {
                for isResumed in [false, true] {
                    page.labels.removeLast(page.labels.count - labelCount)
                    page.labels.add("version", "\(version.name)")
                    page.labels.add("resumed", isResumed ? "true" : "false")
                    let cell = HandshakeCells.cell(version, isResumed: isResumed)
                    page.sample(.handshakes, total.handshakes.cells[row + cell])
                }
            }
        }
        counter(.handshakeFailures, total.handshakeFaults) { labels, key in
            labels.add("listener", key.map { names.name(SeriesKey.faultOwner($0), .listener) })
            labels.add("reason", key.map { HandshakeFault(rawValue: SeriesKey.fault($0)).map { "\($0.name)" } ?? "" })
        }
        counter(.upstreamHandshakeFailures, total.upstreamHandshakeFaults) { labels, key in
            labels.add("service", key.map { names.name(SeriesKey.faultOwner($0), .service) })
            labels.add("reason", key.map { HandshakeFault(rawValue: SeriesKey.fault($0)).map { "\($0.name)" } ?? "" })
        }
    }

    private mutating func certificates(_ readings: CertificateReadings) {
        header(.certificateExpiry)
        let all = readings.earliest
        for certificate in all.prefix(SeriesTable.seriesMax) {
            labels.removeAll(keepingCapacity: true)
            labels.add("listener", certificate.listener)
            labels.add("subject", certificate.subject)
            sample(.certificateExpiry, UInt64(max(0, certificate.expirySeconds)))
        }
        // Points in time are not added up: of those over the limit, the first.
        if let first = all.dropFirst(SeriesTable.seriesMax).map(\.expirySeconds).min() {
            labels.removeAll(keepingCapacity: true)
            labels.add("listener", nil)
            labels.add("subject", nil)
            sample(.certificateExpiry, UInt64(max(0, first)))
        }
        header(.certificateReloads)
        for (result, count) in [("success", readings.reloadsSucceeded), ("error", readings.reloadsFailed)] {
            labels.removeAll(keepingCapacity: true)
            labels.add("result", result)
            sample(.certificateReloads, count)
        }
    }

    private mutating func versions(_ total: MetricsRows, _ names: LabelRegistry) {
        header(.requestsByProtocol)
        eachRow(total.listeners) { labels, key in
            labels.add("listener", key.map { names.name(UInt32(truncatingIfNeeded: $0), .listener) })
        } _: { page, row in
            let labelCount = page.labels.count
            for version in [HTTPVersion.http10, .http11, .http2] {
                page.labels.removeLast(page.labels.count - labelCount)
                page.labels.add("protocol", "\(version.digits)")
                page.sample(.requestsByProtocol, total.listeners.cells[row + ListenerCells.requests(of: version)])
            }
        }
        counter(.sessionsClosed, total.sessionFaults) { labels, key in
            labels.add("listener", key.map { names.name(SeriesKey.faultOwner($0), .listener) })
            labels.add("reason", key.map { SessionFault(rawValue: SeriesKey.fault($0)).map { "\($0.name)" } ?? "" })
        }
        counter(.streamsReset, total.streamFaults) { labels, key in
            labels.add("listener", key.map { names.name(SeriesKey.faultOwner($0), .listener) })
            labels.add("reason", key.map { StreamFault(rawValue: SeriesKey.fault($0)).map { "\($0.name)" } ?? "" })
        }
    }

    private mutating func tunnels(_ total: MetricsRows, _ names: LabelRegistry) {
        let tunnels = total.tunnels
        let route: (inout [UInt8], UInt64?) -> Void = { labels, key in
            labels.add("route", key.map { names.name(UInt32(truncatingIfNeeded: $0), .route) })
        }
        gauge(.tunnelsOpen, tunnels, at: TunnelCells.open, route)
        header(.tunnels)
        eachRow(tunnels, route) { page, row in page.sample(.tunnels, tunnels.cells[row + TunnelCells.begun]) }
        header(.tunnelMessages)
        eachRow(tunnels, route) { page, row in
            let labelCount = page.labels.count
            for (direction, cell) in [("in", TunnelCells.messagesIn), ("out", TunnelCells.messagesOut)] {
                page.labels.removeLast(page.labels.count - labelCount)
                page.labels.add("direction", direction)
                page.sample(.tunnelMessages, tunnels.cells[row + cell])
            }
        }
    }
}

extension HTTPVersion {
    /// As logs and metrics write it.
    var digits: StaticString {
        switch self {
        case .http10: "1.0"
        case .http11: "1.1"
        case .http2: "2"
        }
    }
}
