import CLinux
import Primitives

/// One epoll instance and room for a batch of its events.
///
/// Each descriptor is registered once, edge-triggered, for all that can happen to it (design.md: four system calls a request).
public struct Poller: ~Copyable {
    public static let batch = 256

    private let descriptor: Int32
    private let events: UnsafeMutablePointer<epoll_event>
    private let calls: SystemCalls

    /// - Throws: `PollerError` when the kernel gives no epoll instance.
    public init(calls: SystemCalls) throws(PollerError) {
        descriptor = clinux_epoll_create()
        guard descriptor >= 0 else { throw PollerError(error: Int(-descriptor)) }
        events = .allocate(capacity: Self.batch)
        self.calls = calls
    }

    deinit {
        events.deallocate()
        clinux_close(descriptor, 0)
    }

    /// A connection: every change, once.
    @discardableResult
    public func addConnection(_ fd: Int32, _ token: Token) -> Int32 {
        calls.pollAdd(descriptor, fd, PollEvents.in | PollEvents.out | PollEvents.readHangup | PollEvents.edge, token.raw)
    }

    /// A listener or an eventfd: as long as there is something to read.
    @discardableResult
    public func addLevel(_ fd: Int32, _ token: Token) -> Int32 {
        calls.pollAdd(descriptor, fd, PollEvents.in, token.raw)
    }

    @discardableResult
    public func remove(_ fd: Int32) -> Int32 { calls.pollRemove(descriptor, fd) }

    /// Waits for at most `timeout` milliseconds and returns how many events there are.
    public func wait(timeout: Int32) -> Int { Int(max(0, calls.pollWait(descriptor, events, Int32(Self.batch), timeout))) }

    @inline(__always)
    public func token(_ index: Int) -> Token { Token(raw: clinux_event_data(events + index)) }
    @inline(__always)
    public func flags(_ index: Int) -> UInt32 { events[index].events }
}

public struct PollerError: Error {
    public let error: Int

    public init(error: Int) { self.error = error }
}

/// epoll's event bits (epoll_ctl(2)).
public enum PollEvents {
    @inlinable public static var `in`: UInt32 { 0x001 }
    @inlinable public static var out: UInt32 { 0x004 }
    @inlinable public static var error: UInt32 { 0x008 }
    @inlinable public static var hangup: UInt32 { 0x010 }
    @inlinable public static var readHangup: UInt32 { 0x2000 }
    @inlinable public static var edge: UInt32 { 1 << 31 }
}
