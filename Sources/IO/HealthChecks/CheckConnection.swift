import Health
import Primitives

/// One connection to an instance that only checks use, apart from the pools of the workers.
struct CheckConnection {
    enum Phase {
        /// Becomes `asking`, or is closed.
        case connecting
        /// `sent` bytes of the request are out, and the answer may come. Becomes `draining`, `idle`, or is closed.
        case asking(sent: Int)
        /// The verdict is known and the rest of the answer is read, for the sake of the connection. Becomes `idle`, or is closed;
        /// by the next check at the latest.
        case draining
        /// Kept for the next check. Anything that arrives was not asked for, and ends it.
        case idle
    }

    var descriptor: Int32 = -1
    /// Place of its instance in the loop's list.
    var instance = -1
    var phase = Phase.connecting
    /// An earlier check was answered on it, so that it may have been closed since.
    var isReused = false
    var response = CheckResponse(judge: CheckJudge(CheckExpectation()))
}
