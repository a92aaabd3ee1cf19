import COpenSSL
import Synchronization

/// Seals and opens the session tickets of one policy.
final class TicketSealer: Sendable {
    private struct Keys {
        /// Of the ring that they follow from; 0: none yet.
        var generation: UInt64 = 0
        var current: TicketKey?
        var previous: TicketKey?
    }

    private let ring: TLSTicketKeys
    /// What tells one policy from another.
    private let policy: [UInt8]
    private let keys = Mutex(Keys())

    init(ring: TLSTicketKeys, policy: [UInt8]) {
        self.ring = ring
        self.policy = policy
    }

    /// OpenSSL's question (SSL_CTX_set_tlsext_ticket_key_evp_cb) on either side of a ticket.
    ///
    /// - Parameters:
    ///   - name: 16 bytes: which key sealed it.
    ///   - vector: 16 bytes.
    /// - Returns: below 0 for a fault, 0 when the ticket is none of ours, 1 when it is good, 2 when it is and a new one is due.
    func prepare(
        name: UnsafeMutablePointer<UInt8>, vector: UnsafeMutablePointer<UInt8>, cipher: OpaquePointer?, mac: OpaquePointer?,
        seals: Bool, renews: Bool
    ) -> Int32 {
        let (current, previous) = currentKeys()
        guard let current else { return -1 }
        if seals {
            guard RAND_bytes(vector, 16) == 1 else { return -1 }
            for (i, byte) in current.name.enumerated() { name[i] = byte }
            return copenssl_ticket_keys(cipher, mac, vector, current.keys, current.keys + 32, 1) == 1 ? 1 : -1
        }
        let asked = UnsafeRawBufferPointer(start: name, count: TicketSecret.nameBytes)
        if asked.elementsEqual(current.name) {
            guard copenssl_ticket_keys(cipher, mac, vector, current.keys, current.keys + 32, 0) == 1 else { return -1 }
            return renews ? 2 : 1
        }
        if let previous, asked.elementsEqual(previous.name) {
            return copenssl_ticket_keys(cipher, mac, vector, previous.keys, previous.keys + 32, 0) == 1 ? 2 : -1
        }
        return 0
    }

    private func currentKeys() -> (current: TicketKey?, previous: TicketKey?) {
        keys.withLock { keys in
            if keys.generation != ring.currentGeneration {
                let ring = ring.snapshot()
                keys = Keys(
                    generation: ring.generation, current: ring.current.key(for: policy), previous: ring.previous?.key(for: policy)
                )
            }
            return (keys.current, keys.previous)
        }
    }
}
