import CLinux
import Primitives

/// The system calls that a worker makes, as a table of C functions: the kernel's own, or a simulator's.
///
/// One table serves a whole worker, so that the code under simulation is the code that runs. Each call answers as the CLinux
/// function of the same name does: a count or a descriptor, or minus the error number.
public struct SystemCalls: Sendable {
    public var receive: @convention(c) (Int32, UnsafeMutableRawPointer?, Int) -> Int
    public var send: @convention(c) (Int32, UnsafeRawPointer?, Int) -> Int
    public var send2: @convention(c) (Int32, UnsafeRawPointer?, Int, UnsafeRawPointer?, Int) -> Int
    public var shutdownWrite: @convention(c) (Int32) -> Int32
    public var close: @convention(c) (Int32, Int32) -> Void
    public var accept: @convention(c) (Int32, UnsafeMutablePointer<clinux_address>?) -> Int32
    public var connect: @convention(c) (UnsafePointer<clinux_address>?) -> Int32
    public var socketError: @convention(c) (Int32) -> Int32
    public var pollAdd: @convention(c) (Int32, Int32, UInt32, UInt64) -> Int32
    public var pollRemove: @convention(c) (Int32, Int32) -> Int32
    public var pollWait: @convention(c) (Int32, UnsafeMutablePointer<epoll_event>?, Int32, Int32) -> Int32
    public var monotonic: @convention(c) () -> UInt64
    public var realtime: @convention(c) () -> UInt64

    public init(
        receive: @escaping @convention(c) (Int32, UnsafeMutableRawPointer?, Int) -> Int,
        send: @escaping @convention(c) (Int32, UnsafeRawPointer?, Int) -> Int,
        send2: @escaping @convention(c) (Int32, UnsafeRawPointer?, Int, UnsafeRawPointer?, Int) -> Int,
        shutdownWrite: @escaping @convention(c) (Int32) -> Int32,
        close: @escaping @convention(c) (Int32, Int32) -> Void,
        accept: @escaping @convention(c) (Int32, UnsafeMutablePointer<clinux_address>?) -> Int32,
        connect: @escaping @convention(c) (UnsafePointer<clinux_address>?) -> Int32,
        socketError: @escaping @convention(c) (Int32) -> Int32,
        pollAdd: @escaping @convention(c) (Int32, Int32, UInt32, UInt64) -> Int32,
        pollRemove: @escaping @convention(c) (Int32, Int32) -> Int32,
        pollWait: @escaping @convention(c) (Int32, UnsafeMutablePointer<epoll_event>?, Int32, Int32) -> Int32,
        monotonic: @escaping @convention(c) () -> UInt64,
        realtime: @escaping @convention(c) () -> UInt64
    ) {
        self.receive = receive
        self.send = send
        self.send2 = send2
        self.shutdownWrite = shutdownWrite
        self.close = close
        self.accept = accept
        self.connect = connect
        self.socketError = socketError
        self.pollAdd = pollAdd
        self.pollRemove = pollRemove
        self.pollWait = pollWait
        self.monotonic = monotonic
        self.realtime = realtime
    }

    /// The kernel's.
    public static var kernel: SystemCalls {
        SystemCalls(
            receive: { clinux_recv($0, $1, $2) },
            send: { clinux_send($0, $1, $2) },
            send2: { clinux_send2($0, $1, $2, $3, $4) },
            shutdownWrite: { clinux_shutdown_write($0) },
            close: { clinux_close($0, $1) },
            accept: { clinux_accept($0, $1) },
            connect: { clinux_connect($0) },
            socketError: { clinux_socket_error($0) },
            pollAdd: { clinux_epoll_add($0, $1, $2, $3) },
            pollRemove: { clinux_epoll_remove($0, $1) },
            pollWait: { clinux_epoll_wait($0, $1, $2, $3) },
            monotonic: { clinux_monotonic_ns() },
            realtime: { clinux_realtime_ns() })
    }
}

/// Error numbers that a caller tells apart; all are positive, as in errno.h.
public enum SystemError {
    public static var again: Int { 11 }
    public static var noMemory: Int { 12 }
    public static var tooManyOpenInSystem: Int { 23 }
    public static var tooManyOpen: Int { 24 }
    public static var brokenPipe: Int { 32 }
    public static var protocolError: Int { 71 }
    public static var messageTooLong: Int { 90 }
    public static var networkUnreachable: Int { 101 }
    public static var connectionAborted: Int { 103 }
    public static var connectionReset: Int { 104 }
    public static var noBuffers: Int { 105 }
    public static var connectionTimedOut: Int { 110 }
    public static var connectionRefused: Int { 111 }
    public static var hostUnreachable: Int { 113 }

    /// Errors of accept(2) that concern the connection that was to be accepted, and not the socket: EPERM, ENONET, EPROTO, ENOPROTOOPT,
    /// EOPNOTSUPP, ENETDOWN, ENETUNREACH, ECONNABORTED, EHOSTDOWN, EHOSTUNREACH, EINTR.
    public static var ofOneConnection: [Int] { [1, 4, 64, 71, 92, 95, 100, 101, 103, 112, 113] }

    /// The process, or the machine, has run out of something; that says nothing of the other side.
    public static func isShortage(_ error: Int) -> Bool {
        [noMemory, tooManyOpenInSystem, tooManyOpen, noBuffers].contains(error)
    }

    /// What the C library calls it.
    public static func text(_ error: Int) -> String {
        guard let text = clinux_error_text(Int32(clamping: error)) else { return "error \(error)" }
        return String(cString: text)
    }
}
