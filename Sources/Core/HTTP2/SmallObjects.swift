import CNghttp2

/// nghttp2's allocator: it makes and drops some twenty objects for each request, of few sizes, in bursts that overflow the caches
/// of malloc. Those up to 1 KiB are kept here for the next that is as large, up to a limit for each size; larger ones are
/// malloc's.
///
/// Each object has a word before it that says which size it is.
struct SmallObjects {
    /// Sizes are multiples of 64 bytes, the word included.
    private static var sizes: Int { 17 }
    private static var head: Int { 16 }
    /// Objects of one size that are kept: no more than 256 KiB of the largest.
    private static var kept: Int { 256 }

    private var free = InlineArray<17, UnsafeMutableRawPointer?>(repeating: nil)
    private var count = InlineArray<17, Int>(repeating: 0)

    @inline(__always)
    mutating func allocate(_ bytes: Int) -> UnsafeMutableRawPointer? {
        let size = (bytes &+ Self.head &+ 63) >> 6
        if size < Self.sizes, bytes >= 0, let object = free[size] {
            free[size] = object.load(as: UnsafeMutableRawPointer?.self)
            count[size] &-= 1
            return object
        }
        return make(bytes, size)
    }

    @inline(never)
    private func make(_ bytes: Int, _ size: Int) -> UnsafeMutableRawPointer? {
        let (whole, overflow) = bytes.addingReportingOverflow(Self.head)
        guard bytes >= 0, !overflow, whole <= Int.max - 64 else { return nil }
        let base = UnsafeMutableRawPointer.allocate(byteCount: size < Self.sizes ? size << 6 : whole, alignment: 16)
        // What `reallocate` may copy.
        base.storeBytes(of: size < Self.sizes ? size : -bytes, as: Int.self)
        return base + Self.head
    }

    @inline(__always)
    mutating func deallocate(_ object: UnsafeMutableRawPointer?) {
        guard let object else { return }
        let base = object - Self.head
        let size = base.load(as: Int.self)
        if size >= 0, count[size] < Self.kept {
            object.storeBytes(of: free[size], as: UnsafeMutableRawPointer?.self)
            free[size] = object
            count[size] &+= 1
        } else {
            base.deallocate()
        }
    }

    mutating func reallocate(_ object: UnsafeMutableRawPointer?, _ bytes: Int) -> UnsafeMutableRawPointer? {
        guard let object else { return allocate(bytes) }
        let size = (object - Self.head).load(as: Int.self)
        let room = size >= 0 ? size << 6 &- Self.head : -size
        if bytes <= room { return object }
        guard let larger = allocate(bytes) else { return nil }
        larger.copyMemory(from: object, byteCount: room)
        deallocate(object)
        return larger
    }

    /// Gives the idle objects back to the heap.
    mutating func release() {
        for size in 0..<Self.sizes {
            while let object = free[size] {
                free[size] = object.load(as: UnsafeMutableRawPointer?.self)
                (object - Self.head).deallocate()
            }
            count[size] = 0
        }
    }
}

/// The four functions that nghttp2 calls, with the objects as its user data.
func makeAllocator(_ objects: UnsafeMutablePointer<SmallObjects>) -> nghttp2_mem {
    nghttp2_mem(
        mem_user_data: objects,
        malloc: { bytes, objects in SmallObjects.at(objects).pointee.allocate(bytes) },
        free: { object, objects in SmallObjects.at(objects).pointee.deallocate(object) },
        calloc: { count, size, objects in
            let (bytes, overflow) = count.multipliedReportingOverflow(by: size)
            guard !overflow, let object = SmallObjects.at(objects).pointee.allocate(bytes) else { return nil }
            object.initializeMemory(as: UInt8.self, repeating: 0, count: bytes)
            return object
        },
        realloc: { object, bytes, objects in SmallObjects.at(objects).pointee.reallocate(object, bytes) })
}

extension SmallObjects {
    @inline(__always)
    fileprivate static func at(_ objects: UnsafeMutableRawPointer?) -> UnsafeMutablePointer<SmallObjects> {
        guard let objects else { preconditionFailure("nghttp2 was given its allocator with its objects") }
        return objects.assumingMemoryBound(to: SmallObjects.self)
    }
}
