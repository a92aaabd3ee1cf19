/// TLS, HTTP/2 connections and tunnels: what happens once for each connection, or on its way out.
extension WorkerMetrics {
    /// A client's TLS handshake is done.
    public mutating func handshakeEnded(_ listener: Label, version: HandshakeVersion, isResumed: Bool) {
        let row = tables.handshakes.cell(of: UInt64(listener.id))
        tables.handshakes.add(1, to: row &+ HandshakeCells.cell(version, isResumed: isResumed))
    }

    /// A client's TLS handshake, or its session later on, came to nothing.
    public mutating func handshakeFailed(_ listener: Label, _ fault: HandshakeFault) {
        let key = SeriesKey.fault(listener, fault.rawValue)
        tables.handshakeFaults.add(1, to: tables.handshakeFaults.cell(of: key))
    }

    /// The same with an instance of a service.
    public mutating func upstreamHandshakeFailed(_ service: Label, _ fault: HandshakeFault) {
        let key = SeriesKey.fault(service, fault.rawValue)
        tables.upstreamHandshakeFaults.add(1, to: tables.upstreamHandshakeFaults.cell(of: key))
    }

    /// An HTTP/2 connection of a client was ended for a fault; one that was drained, or that the client left, is not counted.
    public mutating func sessionEnded(_ listener: Label, _ fault: SessionFault) {
        let key = SeriesKey.fault(listener, fault.rawValue)
        tables.sessionFaults.add(1, to: tables.sessionFaults.cell(of: key))
    }

    /// Streams of a client were reset, and their connection goes on.
    public mutating func streamsReset(_ listener: Label, _ fault: StreamFault, count: UInt64) {
        let key = SeriesKey.fault(listener, fault.rawValue)
        tables.streamFaults.add(count, to: tables.streamFaults.cell(of: key))
    }

    /// A request has become a tunnel; goes with one `tunnelEnded`.
    public mutating func tunnelBegan(_ route: Label) {
        let row = tables.tunnels.cell(of: UInt64(route.id))
        tables.tunnels.add(1, to: row &+ TunnelCells.open)
        tables.tunnels.add(1, to: row &+ TunnelCells.begun)
    }

    public mutating func tunnelEnded(_ route: Label) {
        tables.tunnels.add(.max, to: tables.tunnels.cell(of: UInt64(route.id)) &+ TunnelCells.open)
    }

    /// Messages that have gone through a tunnel since the last call.
    /// - Parameters:
    ///   - received: from the client.
    ///   - sent: to the client.
    public mutating func tunnelMessages(_ route: Label, in received: UInt64, out sent: UInt64) {
        let row = tables.tunnels.cell(of: UInt64(route.id))
        tables.tunnels.add(received, to: row &+ TunnelCells.messagesIn)
        tables.tunnels.add(sent, to: row &+ TunnelCells.messagesOut)
    }
}
