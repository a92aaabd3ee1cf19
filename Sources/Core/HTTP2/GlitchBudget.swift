import Primitives

/// How much of what does no work a peer may do: a token bucket that starts full.
///
/// A peer that is merely unlucky stays far below; one that floods is first asked to go, at three quarters, and then cut off.
struct GlitchBudget {
    enum Verdict: Equatable {
        case within
        /// Three quarters are used up: no new streams, and time to end the others.
        case nearlySpent
        case spent
    }

    /// Tokens that can be saved up.
    let burst: UInt64
    /// Tokens that come back in a second.
    let perSecond: UInt64
    /// What is left, in billionths of a token.
    private var left: UInt64
    private var refilled: Instant

    /// A tenth of the burst comes back in a second.
    init(burst: Int, at now: Instant) {
        let burst = UInt64(clamping: max(burst, 1))
        self.init(burst: burst, perSecond: max(burst / 10, 1), at: now)
    }

    /// - Parameters: at most 10^9 each.
    init(burst: UInt64, perSecond: UInt64, at now: Instant) {
        self.burst = min(burst, 1_000_000_000)
        self.perSecond = min(perSecond, 1_000_000_000)
        left = self.burst * Self.token
        refilled = now
    }

    /// What is used up at the moment, in whole tokens.
    var used: UInt64 { burst - left / Self.token }

    private static var token: UInt64 { 1_000_000_000 }

    mutating func spend(_ tokens: UInt64, at now: Instant) -> Verdict {
        let (gained, overflow) = now.since(refilled).nanoseconds.multipliedReportingOverflow(by: perSecond)
        left = overflow ? burst * Self.token : min(left &+ min(gained, burst * Self.token), burst * Self.token)
        refilled = max(refilled, now)
        let (cost, isTooMuch) = tokens.multipliedReportingOverflow(by: Self.token)
        guard !isTooMuch, cost <= left else {
            left = 0
            return .spent
        }
        left -= cost
        return left < burst * Self.token / 4 ? .nearlySpent : .within
    }
}

/// How many frames of a kind that ordinary traffic brings about a peer may send: window updates and PINGs (some peers measure the
/// path with one for each DATA frame). They are earned by streams and by the DATA frames sent to it; those beyond are glitches.
struct EarnedFrames {
    private var credit: UInt32 = 128
    private static var most: UInt32 { 65_536 }

    /// A stream was opened: each may have its window enlarged at once.
    mutating func streamOpened() { credit = min(credit &+ 4, Self.most) }

    /// A DATA frame was sent; whoever reads it in small pieces may give the window back in such.
    mutating func dataSent(_ bytes: Int) { credit = min(credit &+ 4 &+ UInt32(truncatingIfNeeded: bytes >> 8), Self.most) }

    /// Whether the frame was earned.
    mutating func received() -> Bool {
        guard credit > 0 else { return false }
        credit -= 1
        return true
    }
}
