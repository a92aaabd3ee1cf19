import Health
import Primitives
import Reactor
import TLS

/// One connection to an instance that only checks use, apart from the pools of the workers.
struct CheckConnection {
    enum Phase {
        /// Becomes `handshaking` or `asking`, or is closed.
        case connecting
        /// It is being encrypted. Becomes `asking`, or is closed.
        case handshaking
        /// The question is out, or on its way, and the answer may come. Becomes `draining`, `idle`, or is closed.
        case asking
        /// The verdict is known and the rest of the answer is read, for the sake of the connection. Becomes `idle`, or is closed;
        /// by the next check at the latest.
        case draining
        /// Kept for the next check. Over HTTP/2 and TLS the instance may say what concerns the connection; anything else was not
        /// asked for, and ends it.
        case idle
    }

    var descriptor: Int32 = -1
    /// Place of its instance in the loop's list.
    var instance = -1
    var phase = Phase.connecting
    /// An earlier check was answered on it, so that it may have been closed since.
    var isReused = false
    /// What reads the answer over HTTP/1.1.
    var response = CheckResponse(judge: CheckJudge(CheckExpectation()))
    /// What speaks HTTP/2; nil over HTTP/1.1.
    var stream: CheckStream?
    /// Nil where nothing is encrypted.
    var tls: TLSSession?
    /// The instance has said that nothing more will come (close_notify).
    var hasClosedTLS = false
    /// What is wrong where it ends before its time: a backend that refuses our certificate says so when the handshake is done for us
    /// (RFC 8446 §4.4.2.4).
    var faultOfEnd = CheckJudge.Fault.malformed
    /// What the kernel has not taken yet.
    var outgoing = Outgoing()

    /// Of the check that runs, or ran last.
    var verdict: CheckJudge.Verdict? {
        guard let stream else { return response.verdict }
        return stream.verdict
    }

    /// Whether a byte of the answer has come.
    var hasBegun: Bool {
        guard let stream else { return response.hasBegun }
        return stream.hasBegun
    }
}
