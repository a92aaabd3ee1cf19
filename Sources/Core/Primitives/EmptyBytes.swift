extension UnsafeRawBufferPointer {
    /// No bytes, where some may be handed on.
    @inlinable @inline(__always)
    public static var empty: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: nil, count: 0) }
}
