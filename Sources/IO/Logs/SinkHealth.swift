import Primitives

/// What is to be said of a log that cannot be written: once that it fails, once that it works again, whatever happens between.
struct SinkHealth {
    enum Notice: Equatable {
        case fails(String)
        /// With the lines that were lost since it failed.
        case works(lost: UInt64)
    }

    /// Only a log that has not failed for so long works again: one that fails every other time is said to fail, once.
    static var quietTime: TimeAmount { .seconds(1) }

    private enum State {
        case working
        case failing(last: Instant, lostBefore: UInt64)
    }

    private var state = State.working

    /// When `worked` can have something to say at the earliest; never while all is well.
    var isDue: Instant {
        switch state {
        case .working: .never
        case .failing(let last, _): last + Self.quietTime
        }
    }

    /// - Parameter lost: lines lost so far, without those of this failure.
    mutating func failed(_ reason: String, lost: UInt64, at now: Instant) -> Notice? {
        switch state {
        case .working:
            state = .failing(last: now, lostBefore: lost)
            return .fails(reason)
        case .failing(_, let before):
            state = .failing(last: now, lostBefore: before)
            return nil
        }
    }

    mutating func worked(lost: UInt64, at now: Instant) -> Notice? {
        guard case .failing(_, let before) = state, now >= isDue else { return nil }
        state = .working
        return .works(lost: lost - min(before, lost))
    }
}
