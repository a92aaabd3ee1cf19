import Primitives

/// What the kernel has not taken yet of the bytes for one connection; owns memory only while there is something.
///
/// Its holder frees it with `discard()` before the record that holds it is reused.
public struct Outgoing {
    private var waiting = Incoming()

    public init() {}

    @inline(__always)
    public var isEmpty: Bool { waiting.isEmpty }
    public var count: Int { waiting.count }

    public mutating func append(_ bytes: UnsafeRawBufferPointer) { waiting.append(bytes) }

    /// Hands the bytes to the kernel; frees the memory when it took all.
    public mutating func flush(_ fd: Int32, _ calls: SystemCalls) -> Sent {
        while !waiting.isEmpty {
            let bytes = waiting.bytes
            let n = calls.send(fd, bytes.baseAddress, bytes.count)
            if n < 0 { return n == -SystemError.again ? .blocked : .failed(-n) }
            waiting.removeFirst(n)
        }
        return .all
    }

    public mutating func discard() { waiting.discard() }
}

/// What came of sending.
public enum Sent {
    /// The kernel has all of it.
    case all
    /// The rest waits in `Outgoing` for the descriptor to become writable.
    case blocked
    /// The connection is gone; the error number says why.
    case failed(Int)
}

extension SystemCalls {
    /// Sends `first` and `second` in one call, behind what waits already; keeps what the kernel does not take.
    @inline(__always)
    public func write(
        _ fd: Int32, _ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer = .empty, waiting: inout Outgoing
    ) -> Sent {
        guard waiting.isEmpty else {
            waiting.append(first)
            waiting.append(second)
            return .blocked
        }
        let total = first.count + second.count
        if total == 0 { return .all }
        let n =
            second.count == 0
            ? send(fd, first.baseAddress, first.count)
            : first.count == 0
                ? send(fd, second.baseAddress, second.count)
                : send2(fd, first.baseAddress, first.count, second.baseAddress, second.count)
        if n == total { return .all }
        return keepRest(n, first, second, waiting: &waiting)
    }

    @inline(never)
    private func keepRest(
        _ n: Int, _ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer, waiting: inout Outgoing
    ) -> Sent {
        if n < 0, n != -SystemError.again { return .failed(-n) }
        let taken = max(0, n)
        if taken < first.count { waiting.append(UnsafeRawBufferPointer(rebasing: first[taken...])) }
        waiting.append(UnsafeRawBufferPointer(rebasing: second[max(0, taken - first.count)...]))
        return .blocked
    }
}
