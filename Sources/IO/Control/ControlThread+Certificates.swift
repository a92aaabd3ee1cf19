import Configuration
import Primitives
import Proxy
import Reactor
import TLS
import Telemetry

/// Certificates and keys: files that change are read again, and old keys of session tickets go.
extension ControlThread {
    /// Once a second: reads the configuration again when a file of certificates or keys has changed. A pair that does not fit, as when only one of
    /// the two has been replaced so far, leaves everything as it is, and the next change is looked at again.
    func watchCertificates() {
        let now = Clock.monotonic
        guard now >= certificatesDue else { return }
        certificatesDue = now + .seconds(1)
        if departure == .none, tls.hasNews() {
            log.event(.info, "certificates have changed", [:])
            certificateReloads.isUnderWay = true
            reload.isWanted = true
        }
        do throws(TLSLoadError) {
            try tls.rotateTickets(at: now)
        } catch {
            log.event(.error, "no new key for session tickets", ["error": .string(error.description)])
        }
    }

    /// How long before its end a certificate is spoken of.
    private static var expiryWarning: Int64 { 14 * 86_400 }

    /// Every listener with each of its certificates.
    private var certificates: [(listener: String, certificate: TLSCertificate)] {
        (snapshot.listeners + [adminListener].compactMap { $0 }).flatMap { listener in
            (listener.tls?.certificates ?? []).map { (listener: listener.name, certificate: $0) }
        }
    }

    private func warnOfExpiry() {
        let now = Clock.unixSeconds
        for (listener, certificate) in certificates where certificate.notAfter - now < Self.expiryWarning {
            let days = (certificate.notAfter - now) / 86_400
            log.warn(
                certificate.notAfter > now ? "certificate expires soon" : "certificate has expired",
                [
                    "listener": .string(listener), "file": .string(certificate.file), "subject": .string(certificate.subject),
                    "days": .integer(days),
                ])
        }
    }

    /// For the page of metrics. A certificate without a subject goes by its first other name.
    var certificateReadings: CertificateReadings {
        CertificateReadings(
            certificates: certificates.map { listener, certificate in
                CertificateReadings.Certificate(
                    listener: listener,
                    subject: certificate.subject.isEmpty ? certificate.alternativeNames.first ?? "" : certificate.subject,
                    expirySeconds: certificate.notAfter)
            }, reloadsSucceeded: certificateReloads.succeeded, reloadsFailed: certificateReloads.failed)
    }

    /// These are in force.
    func keepCertificates(_ snapshot: GatewaySnapshot, _ admin: GatewaySnapshot) {
        adminListener = admin.listeners.first
        let servers = (snapshot.listeners + admin.listeners).compactMap(\.tls)
        let clients = snapshot.services.flatMap { $0.dialects.compactMap(\.tls) }
        tls.keep(servers, clients)
        warnOfExpiry()
        for warning in tls.warnings {
            log.warn("certificate", ["warning": .string("\(warning)")])
        }
    }
}

/// Readings of the configuration that changed files have caused.
struct CertificateReloads {
    var isUnderWay = false
    var succeeded: UInt64 = 0
    var failed: UInt64 = 0

    mutating func ended(_ isGood: Bool) {
        guard isUnderWay else { return }
        isUnderWay = false
        if isGood { succeeded += 1 } else { failed += 1 }
    }
}
