import Primitives

/// The one deadline of a connection or an exchange, which moves with every byte while its timer mostly stays where it is.
///
/// The wheel's timer may fire earlier than the deadline, never later: moving the deadline back costs a store, and the wheel is touched only to
/// bring the timer forward, or when it has fired too early.
public struct Deadline {
    public private(set) var instant = Instant.never
    private var scheduled = Instant.never
    private var timer: TimerWheel.ID = -1

    public init() {}

    /// Nothing is due; a timer that is set will find that out.
    @inline(__always)
    public mutating func clear() { instant = .never }

    @inline(__always)
    public mutating func set(_ deadline: Instant, _ token: @autoclosure () -> Token, on wheel: inout TimerWheel) {
        instant = deadline
        if deadline < scheduled { schedule(token(), on: &wheel) }
    }

    @inline(never)
    private mutating func schedule(_ token: Token, on wheel: inout TimerWheel) {
        scheduled = instant
        if timer >= 0 { wheel.reschedule(timer, at: instant) } else { timer = wheel.schedule(token, at: instant) }
    }

    /// The timer has fired.
    /// - Returns: whether the deadline has passed; otherwise a timer is set anew where there is one to wait for.
    public mutating func fired(at now: Instant, _ token: Token, on wheel: inout TimerWheel) -> Bool {
        timer = -1
        scheduled = .never
        if instant <= now {
            instant = .never
            return true
        }
        if instant != .never { schedule(token, on: &wheel) }
        return false
    }

    /// Before the record that holds it goes.
    public mutating func cancel(on wheel: inout TimerWheel) {
        if timer >= 0 { wheel.cancel(timer) }
        self = Deadline()
    }
}
