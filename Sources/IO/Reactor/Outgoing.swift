import Primitives

/// What the kernel has not taken yet of the bytes for one connection; owns memory only while there is something.
///
/// Its holder frees it with `discard()` before the record that holds it is reused.
public struct Outgoing {
    private var base: UnsafeMutablePointer<UInt8>?
    private var start = 0
    private var end = 0
    private var capacity = 0

    public init() {}

    @inline(__always)
    public var isEmpty: Bool { base == nil }
    public var count: Int { end - start }

    public mutating func append(_ bytes: UnsafeRawBufferPointer) {
        guard let from = bytes.baseAddress, bytes.count > 0 else { return }
        if end + bytes.count > capacity { makeRoom(bytes.count) }
        guard let base else { return }
        UnsafeMutableRawPointer(base + end).copyMemory(from: from, byteCount: bytes.count)
        end += bytes.count
    }

    /// Hands the bytes to the kernel; frees the memory when it took all.
    public mutating func flush(_ fd: Int32, _ calls: SystemCalls) -> Sent {
        while let base, start < end {
            let n = calls.send(fd, base + start, end - start)
            if n < 0 { return n == -SystemError.again ? .blocked : .failed(-n) }
            start += n
        }
        discard()
        return .all
    }

    public mutating func discard() {
        base?.deallocate()
        base = nil
        start = 0
        end = 0
        capacity = 0
    }

    private mutating func makeRoom(_ more: Int) {
        let held = end - start
        let larger = max(4096, (held + more) * 3 / 2)
        let moved = UnsafeMutablePointer<UInt8>.allocate(capacity: larger)
        if let base {
            moved.update(from: base + start, count: held)
            base.deallocate()
        }
        base = moved
        start = 0
        end = held
        capacity = larger
    }
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
        _ fd: Int32, _ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer, waiting: inout Outgoing
    ) -> Sent {
        guard waiting.isEmpty else {
            waiting.append(first)
            waiting.append(second)
            return .blocked
        }
        let total = first.count + second.count
        if total == 0 { return .all }
        let n = second.count == 0
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
