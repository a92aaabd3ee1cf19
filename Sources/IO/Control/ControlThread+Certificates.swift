import Configuration
import Primitives
import Proxy
import Reactor
import TLS
import Telemetry

/// Certificates and keys: files that change are read again, and old keys of session tickets go.
extension ControlThread {
    /// Reads the configuration again when a file of certificates or keys has changed. A pair that does not fit, as when only one of
    /// the two has been replaced so far, leaves everything as it is, and the next change is looked at again.
    func watchCertificates() {
        let now = Clock.monotonic
        if departure == .none, tls.hasNews(at: now) {
            log.event(.info, "certificates have changed", [:])
            reload.isWanted = true
        }
        let rotation = (configuration.listeners.compactMap(\.tls) + (configuration.admin.tls.map { [$0] } ?? []))
            .map(\.ticketRotation).min()
        guard let rotation else { return }
        do throws(TLSLoadError) {
            try tls.rotateTickets(every: rotation, at: now)
        } catch {
            log.event(.error, "no new key for session tickets", ["error": .string(error.description)])
        }
    }

    /// These are in force.
    func keepCertificates(_ snapshot: GatewaySnapshot, _ admin: GatewaySnapshot) {
        let servers = (snapshot.listeners + admin.listeners).compactMap(\.tls)
        let clients = snapshot.services.flatMap { $0.dialects.flatMap { [$0.tls, $0.tlsOfHTTP1].compactMap { $0 } } }
        tls.keep(servers, clients)
        for warning in servers.flatMap(\.warnings) + clients.flatMap(\.warnings) {
            log.warn("certificate", ["warning": .string("\(warning)")])
        }
    }
}
