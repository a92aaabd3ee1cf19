import Glibc

/// Starts a thread that nobody waits for.
///
/// In a file of its own: a closure that is written in `main.swift` belongs to the main actor, and traps on another thread.
func startThread(_ body: @escaping @Sendable () -> Void) {
    final class Start {
        let body: @Sendable () -> Void
        init(_ body: @escaping @Sendable () -> Void) { self.body = body }
    }
    var thread = pthread_t()
    let start = Unmanaged.passRetained(Start(body))
    let error = pthread_create(
        &thread, nil,
        { argument in
            guard let argument else { return nil }
            Unmanaged<Start>.fromOpaque(argument).takeRetainedValue().body()
            return nil
        }, start.toOpaque())
    if error == 0 {
        pthread_detach(thread)
    } else {
        start.release()
    }
}
