import CLinux
import Synchronization

/// Messages from other threads to one worker, with a descriptor that wakes it.
///
/// The lock is held for an append or a swap, never longer. The descriptor is written only for the first message since the
/// last `drain`, so that a burst costs one wake-up.
public final class Mailbox<Message: Sendable>: Sendable {
    private let pending = Mutex<[Message]>([])
    public let descriptor: Int32

    /// - Throws: `PollerError` when no descriptor is left.
    public init() throws(PollerError) {
        descriptor = clinux_eventfd()
        guard descriptor >= 0 else { throw PollerError(error: Int(-descriptor)) }
    }

    deinit { clinux_close(descriptor, 0) }

    public func post(_ message: Message) {
        let isFirst = pending.withLock { messages in
            messages.append(message)
            return messages.count == 1
        }
        if isFirst { clinux_eventfd_signal(descriptor) }
    }

    /// Takes all messages, oldest first.
    public func drain() -> [Message] {
        clinux_eventfd_clear(descriptor)
        return pending.withLock { messages in
            let taken = messages
            messages = []
            return taken
        }
    }
}
