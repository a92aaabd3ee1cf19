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
            guard let base = all.baseAddress else { return nil }
            let length = needle.utf8CodeUnitCount
            var at = start
            while at + length <= bytes.count,
                let found = memchr(base + at, Int32(needle.utf8Start[0]), bytes.count - length - at + 1)
            {
                at = UnsafeRawPointer(found) - base
                if memcmp(found, needle.utf8Start, length) == 0 { return at - start }
                at += 1
            }
            return nil
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
