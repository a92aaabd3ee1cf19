import Glibc

/// Bytes that go in at one end and come out at the other.
struct ByteQueue {
    private var bytes: [UInt8] = []
    private var start = 0

    var count: Int { bytes.count - start }
    var isEmpty: Bool { count == 0 }

    mutating func append(_ more: UnsafeRawBufferPointer) { bytes.append(contentsOf: more) }
    mutating func append(_ more: some Sequence<UInt8>) { bytes.append(contentsOf: more) }

    /// The first `n` bytes, or all where there are fewer.
    mutating func take(_ n: Int) -> [UInt8] {
        let end = start + min(n, count)
        let taken = Array(bytes[start..<end])
        drop(end - start)
        return taken
    }

    /// Copies as many bytes as fit and takes them out.
    mutating func take(into to: UnsafeMutableRawPointer, _ capacity: Int) -> Int {
        let n = min(capacity, count)
        bytes.withUnsafeBytes { from in
            guard n > 0, let base = from.baseAddress else { return }
            to.copyMemory(from: base + start, byteCount: n)
        }
        drop(n)
        return n
    }

    mutating func removeAll() {
        bytes.removeAll(keepingCapacity: true)
        start = 0
    }

    /// How far into the queue `needle` begins; nil where it is not in it.
    func offset(of needle: StaticString) -> Int? {
        bytes.withUnsafeBytes { all in
            guard let base = all.baseAddress, count > 0,
                let found = memmem(base + start, count, needle.utf8Start, needle.utf8CodeUnitCount)
            else { return nil }
            return UnsafeRawPointer(found) - (base + start)
        }
    }

    subscript(_ offset: Int) -> UInt8 { bytes[start + offset] }

    private mutating func drop(_ n: Int) {
        start += n
        if start == bytes.count {
            removeAll()
        } else if start > 65_536, start > bytes.count / 2 {
            bytes.removeFirst(start)
            start = 0
        }
    }
}
