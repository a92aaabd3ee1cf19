import COpenSSL
import Synchronization

/// The sessions that a server allows to be resumed: one of these for each client and name. Workers may share it.
public final class TLSResumption: Sendable {
    /// As many as a server hands out at once, twice. The addresses of SSL_SESSIONs, each with a reference of ours; the newest last.
    private let sessions = Mutex<[UInt]>([])
    private static var kept: Int { 4 }

    public init() {}

    deinit { sessions.withLock { $0.forEach { SSL_SESSION_free(OpaquePointer(bitPattern: $0)) } } }

    var isEmpty: Bool { sessions.withLock { $0.isEmpty } }

    /// Keeps a session; the caller's reference becomes ours.
    func put(_ session: OpaquePointer) {
        let surplus: UInt? = sessions.withLock { sessions in
            let address = UInt(bitPattern: session)
            if sessions.contains(address) { return address }
            sessions.append(address)
            return sessions.count > Self.kept ? sessions.removeFirst() : nil
        }
        SSL_SESSION_free(surplus.flatMap { OpaquePointer(bitPattern: $0) })
    }

    /// A session to resume, which the caller frees. Those of TLS 1.3 are handed out once (RFC 8446 appendix C.4).
    func take() -> OpaquePointer? {
        while true {
            let address: UInt? = sessions.withLock { sessions in
                guard let last = sessions.last, let session = OpaquePointer(bitPattern: last) else { return nil }
                if SSL_SESSION_is_resumable(session) == 1, SSL_SESSION_get_protocol_version(session) != TLS1_3_VERSION {
                    SSL_SESSION_up_ref(session)
                    return last
                }
                return sessions.removeLast()
            }
            guard let address, let session = OpaquePointer(bitPattern: address) else { return nil }
            if SSL_SESSION_is_resumable(session) == 1 { return session }
            SSL_SESSION_free(session)
        }
    }
}
