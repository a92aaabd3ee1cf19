import CLinux
import Reactor

/// The network of the simulation that runs: a table of C functions can carry no context.
nonisolated(unsafe) private var current: VirtualNetwork?

extension VirtualNetwork {
    /// Makes this network the one that `calls` reaches for as long as `body` runs.
    func whileCurrent<T>(_ body: () throws -> T) rethrows -> T {
        current = self
        defer { current = nil }
        return try body()
    }

    static var calls: SystemCalls {
        SystemCalls(
            receive: { fd, to, count in
                guard let network = current, let to else { return -9 }
                return network.receive(fd, to, count)
            },
            send: { fd, from, count in
                current?.send(fd, [UnsafeRawBufferPointer(start: from, count: count)]) ?? -9
            },
            send2: { fd, first, firstCount, second, secondCount in
                current?.send(
                    fd,
                    [
                        UnsafeRawBufferPointer(start: first, count: firstCount),
                        UnsafeRawBufferPointer(start: second, count: secondCount),
                    ])
                    ?? -9
            },
            shutdownWrite: { current?.shutdownWrite($0) ?? -9 },
            close: { current?.close($0, reset: $1 != 0) },
            accept: { fd, address in
                guard let network = current else { return -9 }
                let (number, link) = network.accept(fd)
                if let client = link?.endpoint as? SimulatedClient {
                    address?.pointee.family = 4
                    address?.pointee.high = 0
                    address?.pointee.low = 0xffff_0000_0000 | UInt64(client.address)
                    address?.pointee.port = 40_000
                }
                return number
            },
            connect: { address in
                guard let network = current, let address else { return -9 }
                return network.connect(address.pointee.high, address.pointee.low, address.pointee.port)
            },
            socketError: { current?.socketError($0) ?? 9 },
            pollAdd: { current?.add($0, $1, $2, $3) ?? -9 },
            pollRemove: { current?.remove($1) ?? -9 },
            pollWait: { poller, events, capacity, timeout in
                guard let network = current, let events else { return 0 }
                return network.wait(poller, events, capacity, timeout)
            },
            monotonic: { current?.now ?? 0 },
            realtime: { (current?.now ?? 0) + 1_700_000_000_000_000_000 })
    }
}
