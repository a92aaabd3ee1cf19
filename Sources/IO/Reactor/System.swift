import CLinux
import Primitives

/// The kernel's clocks. Only drivers read them; what they read is passed into Core.
public enum Clock {
    public static var monotonic: Instant { Instant(nanoseconds: clinux_monotonic_ns()) }
    /// Nanoseconds since 1970, UTC.
    public static var realtime: UInt64 { clinux_realtime_ns() }
    public static var unixSeconds: Int64 { Int64(realtime / 1_000_000_000) }
}

/// A descriptor that one thread waits on and others signal.
public struct WakeDescriptor: Sendable {
    public let descriptor: Int32

    /// - Throws: when no descriptor is left.
    public init() throws(PollerError) {
        descriptor = clinux_eventfd()
        guard descriptor >= 0 else { throw PollerError(error: Int(-descriptor)) }
    }

    public func signal() { clinux_eventfd_signal(descriptor) }
    public func clear() { clinux_eventfd_clear(descriptor) }
    public func close() { clinux_close(descriptor, 0) }
}

/// Signals as events. Blocks them in the calling thread and in all that it starts from then on, so call it first.
public struct SignalDescriptor: Sendable {
    public let descriptor: Int32

    public init() throws(PollerError) {
        descriptor = clinux_signal_descriptor()
        guard descriptor >= 0 else { throw PollerError(error: Int(-descriptor)) }
    }

    /// The number of the next signal that is pending; nil when none is.
    public func next() -> Int32? {
        let signal = clinux_next_signal(descriptor)
        return signal == 0 ? nil : signal
    }
}

/// A descriptor for appending lines to; - Throws: the error number.
public func openLogFile(_ path: String) throws(PollerError) -> Int32 {
    let descriptor = clinux_open_log(path)
    guard descriptor >= 0 else { throw PollerError(error: Int(-descriptor)) }
    return descriptor
}

public func closeDescriptor(_ descriptor: Int32) { clinux_close(descriptor, 0) }

/// Raises the soft limit on descriptors to the hard one and returns it; 1024 where the system does not say.
public func raiseDescriptorLimit() -> Int {
    var limit: UInt64 = 1024
    _ = clinux_raise_descriptor_limit(&limit)
    return Int(clamping: limit)
}

/// Bytes from the kernel's random generator, for seeds.
public func randomSeed() -> UInt64 {
    var seed: UInt64 = 0
    clinux_random(&seed, 8)
    return seed
}
