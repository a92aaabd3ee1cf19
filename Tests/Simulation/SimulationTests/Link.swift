/// Who is at the other end of a connection of the gateway's: a client or a backend.
protocol Endpoint: AnyObject {
    /// The gateway's connection stands.
    func opened(_ link: Link)
    func received(_ bytes: [UInt8], _ link: Link)
    /// The gateway has closed its side, or all of it by a reset.
    func ended(_ link: Link, reset: Bool)
    /// It has answered all that it was asked.
    var awaitsRequest: Bool { get }
}

/// One virtual TCP connection: a descriptor of the gateway at this end, an endpoint at the other.
///
/// It behaves as Linux does where the gateway could tell: a short read empties the buffer, a short write is followed by an edge once there is room,
/// what was received before a reset can still be read, closing over unread bytes resets, and so does writing to who has closed.
final class Link {
    enum Operation {
        case bytes([UInt8])
        case pause(UInt64)
        /// Shuts the endpoint's writing side.
        case fin
        /// Closes both sides in order.
        case close
        case reset
        case call(() -> Void)
    }

    unowned let network: VirtualNetwork
    unowned let endpoint: any Endpoint
    let name: String

    // The gateway's side.
    var descriptor: Int32 = -1
    var poller: Int32 = -1
    var token: UInt64 = 0
    var isRegistered = false
    var isConnecting = false
    /// An edge that epoll has not reported yet.
    var isReady = false { didSet { if isReady, !isListed { network.list(self) } } }
    /// It is in the network's list of those with an edge.
    var isListed = false
    var inbound = ByteQueue()
    var inboundCapacity: Int
    var finArrived = false
    var resetArrived = false
    var pendingError: Int32 = 0
    var outbound = ByteQueue()
    var sendCapacity: Int
    var noSpace = false
    var writeShut = false
    var isClosed = false
    /// Bytes that the gateway has read, and that arrived.
    var bytesRead = 0
    var bytesArrived = 0
    var arrivedAt: UInt64 = 0

    /// epoll has said that the endpoint has shut its side; and the gateway has had the time to act on it.
    var finReported = false
    var finKnown = false
    /// Who has read so many bytes has got some that it had not asked for.
    var unaskedFrom = Int.max

    // The endpoint's side.
    private var operations: [Operation] = []
    private var isPumping = false
    private var isPausing = false
    private var isDraining = false
    var isReading = true { didSet { if isReading { scheduleDrain() } } }
    var endpointClosed = false
    private var endpointFin = false
    private var endDelivered = false
    private var resetOnWay = false
    /// Bytes to a piece, at most.
    var pieceMax: Int
    /// Nanoseconds between two pieces, at most.
    var delayMax: UInt64
    /// Nanoseconds between two reads by the endpoint, at most.
    var readDelayMax: UInt64

    init(_ network: VirtualNetwork, _ endpoint: any Endpoint, name: String) {
        self.network = network
        self.endpoint = endpoint
        self.name = name
        inboundCapacity = network.pick([2_000, 65_536, 70_000, 200_000])
        sendCapacity = network.pick([500, 4_000, 30_000, 100_000, 300_000])
        pieceMax = network.pick([1, 7, 100, 1_460, 20_000, 1_000_000])
        delayMax = network.pick([0, 10_000, 300_000, 3_000_000])
        readDelayMax = delayMax
    }

    // The endpoint's doings.

    func write(_ bytes: [UInt8]) { add(.bytes(bytes)) }

    func add(_ operation: Operation) {
        operations.append(operation)
        schedulePump()
    }

    /// Drops what has not gone out yet.
    func forgetOperations() { operations.removeAll() }

    private func schedulePump() {
        guard !isPumping, !operations.isEmpty else { return }
        isPumping = true
        network.after(network.upTo(delayMax)) { [self] in
            isPumping = false
            pump()
        }
    }

    /// Lets one more piece arrive at the gateway.
    func pump() {
        guard !operations.isEmpty, !isConnecting, !isPausing else { return }
        switch operations[0] {
        case .pause(let time):
            operations.removeFirst()
            isPausing = true
            network.after(time) { [self] in
                isPausing = false
                pump()
            }
            return
        case .bytes(let bytes):
            if isClosed || endpointFin || resetArrived { return gatewayRefuses() }
            let room = inboundCapacity - inbound.count
            guard room > 0 else { return }
            let most = min(room, max(pieceMax, bytes.count / 30))
            let n = min(bytes.count, 1 + Int(network.upTo(UInt64(most - 1))))
            inbound.append(bytes[0..<n])
            bytesArrived += n
            arrivedAt = network.now
            if n == bytes.count { operations.removeFirst() } else { operations[0] = .bytes(Array(bytes[n...])) }
            isReady = true
            runCalls()
        case .fin:
            operations.removeFirst()
            endpointFin = true
            finArrived = true
            isReady = true
        case .close:
            operations.removeAll()
            endpointClosed = true
            // Closing over bytes that nobody has read resets (RFC 2525 §2.17).
            if outbound.isEmpty { finArrived = true } else { arriveReset() }
            endpointFin = true
            isReady = true
        case .reset:
            operations.removeAll()
            endpointClosed = true
            arriveReset()
        case .call(let action):
            operations.removeFirst()
            action()
        }
        schedulePump()
    }

    private func runCalls() {
        while case .call(let action)? = operations.first {
            operations.removeFirst()
            action()
        }
    }

    /// The gateway has closed: what still comes is answered with a reset.
    private func gatewayRefuses() {
        operations.removeAll()
        if isClosed { deliverEnd(reset: true) }
    }

    /// The connection was not made.
    func refuse() {
        resetArrived = true
        pendingError = 111
    }

    private func arriveReset() {
        guard !isClosed, !resetArrived else { return }
        resetArrived = true
        pendingError = 104
        outbound.removeAll()
        isReady = true
    }

    // The gateway's system calls.

    func receive(_ to: UnsafeMutableRawPointer, _ count: Int) -> Int {
        network.maybe(8) { pump() }
        defer { if !operations.isEmpty { schedulePump() } }
        guard inbound.isEmpty else {
            let n = inbound.take(into: to, count)
            bytesRead += n
            network.maybe(16) { pump() }
            return n
        }
        if pendingError != 0 {
            defer { pendingError = 0 }
            return -Int(pendingError)
        }
        return finArrived || resetArrived ? 0 : -11
    }

    func send(_ pieces: [UnsafeRawBufferPointer]) -> Int {
        network.maybe(16) { pump() }
        if resetArrived || writeShut {
            defer { pendingError = 0 }
            return pendingError != 0 ? -Int(pendingError) : -32
        }
        let total = pieces.reduce(0) { $0 + $1.count }
        if bytesRead >= unaskedFrom { network.violations.append("\(name) is used after bytes that nobody had asked for") }
        if finKnown, endpoint.awaitsRequest { network.violations.append("\(name) is used though it is known to be closed") }
        if endpointClosed {
            // Taken, and answered with a reset.
            if !resetOnWay {
                resetOnWay = true
                network.after(network.upTo(delayMax)) { [self] in arriveReset() }
            }
            return total
        }
        var room = min(total, sendCapacity - outbound.count)
        if room > 0, network.faults.shortWrites, network.oneIn(6) {
            room = 1 + Int(network.upTo(UInt64(min(room - 1, network.pick([0, 0, 10, 5_000])))))
        }
        if room < total {
            noSpace = true
            network.after(network.upTo(2_000_000)) { [self] in offerSpace() }
        }
        guard room > 0 else { return -11 }
        var left = room
        for piece in pieces where left > 0 {
            let n = min(left, piece.count)
            outbound.append(UnsafeRawBufferPointer(rebasing: piece[..<n]))
            left -= n
        }
        scheduleDrain()
        return room
    }

    var isWritable: Bool { (sendCapacity - outbound.count) * 3 >= sendCapacity }

    private func offerSpace() {
        guard noSpace, isWritable else { return }
        noSpace = false
        isReady = true
    }

    func shutdownWrite() -> Int32 {
        if resetArrived { return -107 }
        writeShut = true
        scheduleDrain()
        return 0
    }

    func close(reset: Bool) {
        isClosed = true
        isRegistered = false
        if reset || (!inbound.isEmpty && !resetArrived) {
            outbound.removeAll()
            network.after(network.upTo(delayMax)) { [self] in deliverEnd(reset: true) }
        } else {
            writeShut = true
            scheduleDrain()
        }
        inbound.removeAll()
        schedulePump()
    }

    /// What poll(2) would say.
    var readiness: UInt32 {
        if isConnecting { return 0 }
        var mask: UInt32 = 0
        if !inbound.isEmpty || finArrived || resetArrived { mask |= 0x001 }
        if isWritable || resetArrived || writeShut { mask |= 0x004 } else { noSpace = true }
        if finArrived || resetArrived { mask |= 0x2000 }
        if resetArrived || (finArrived && writeShut) { mask |= 0x010 }
        if pendingError != 0 { mask |= 0x008 }
        return mask
    }

    // From the gateway to the endpoint.

    private func scheduleDrain() {
        guard !isDraining, isReading, !outbound.isEmpty || (writeShut && !endDelivered) else { return }
        isDraining = true
        network.after(network.upTo(readDelayMax)) { [self] in
            isDraining = false
            drain()
        }
    }

    private func drain() {
        guard isReading else { return }
        if !outbound.isEmpty {
            let most = max(pieceMax, outbound.count / 8)
            let piece = outbound.take(1 + Int(network.upTo(UInt64(most - 1))))
            offerSpace()
            if !endpointClosed { endpoint.received(piece, self) }
        }
        if outbound.isEmpty, writeShut { deliverEnd(reset: false) }
        scheduleDrain()
    }

    private func deliverEnd(reset: Bool) {
        guard !endDelivered else { return }
        endDelivered = true
        if reset { outbound.removeAll() }
        if !endpointClosed { endpoint.ended(self, reset: reset) }
    }
}
