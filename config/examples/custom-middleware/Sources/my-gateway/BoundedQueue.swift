import Glibc
import Synchronization

/// A queue between threads that takes no more than it has room for.
final class BoundedQueue<Element: Sendable>: Sendable {
    private struct State {
        var waiting: [Element] = []
        var isClosed = false
        var isStarted = false
    }

    private let capacity: Int
    private let state = Mutex(State())
    /// Counts the elements, and once more for each thread that `close` lets go. Its memory lives as long as the queue.
    private nonisolated(unsafe) let available: UnsafeMutablePointer<sem_t>

    init(capacity: Int) {
        self.capacity = capacity
        available = .allocate(capacity: 1)
        sem_init(available, 0, 0)
    }

    deinit {
        sem_destroy(available)
        available.deallocate()
    }

    /// Calls `start` the first time.
    func startOnce(_ start: () -> Void) {
        let isFirst = state.withLock { state in
            defer { state.isStarted = true }
            return !state.isStarted
        }
        if isFirst { start() }
    }

    /// - Returns: false when there is no room.
    func append(_ element: Element) -> Bool {
        let isTaken = state.withLock { state in
            guard state.waiting.count < capacity else { return false }
            state.waiting.append(element)
            return true
        }
        if isTaken { sem_post(available) }
        return isTaken
    }

    /// Waits for the next element; nil when the queue has been closed and is empty.
    func next() -> Element? {
        while true {
            while sem_wait(available) != 0 {}
            let (element, isOver) = state.withLock { state in
                state.waiting.isEmpty ? (nil, state.isClosed) : (state.waiting.removeFirst(), false)
            }
            if let element { return element }
            if isOver {
                // For the next thread.
                sem_post(available)
                return nil
            }
        }
    }

    func close() {
        state.withLock { $0.isClosed = true }
        sem_post(available)
    }
}
