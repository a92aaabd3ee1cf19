import Glibc
import Primitives
import Reactor
import TLS
import Telemetry

/// How the connection to an admin listener is encrypted: whom we believe, and what we show.
public struct AdminTLS: Equatable, Sendable {
    public enum Trust: Equatable, Sendable {
        /// The listener must show the first certificate of one of these files, which the configuration names as its own. Whoever has
        /// the key to that certificate is the listener: its name, its dates and who issued it say nothing more.
        case exactly([String])
        /// The listener must show a certificate for this name or address that an authority of this file has issued.
        case authorities(file: String, name: String)
    }

    public let trust: Trust
    /// What we show of ourselves, with its key; nil: nothing.
    public let certificateFile: String?
    public let keyFile: String?

    public init(_ trust: Trust, certificateFile: String? = nil, keyFile: String? = nil) {
        self.trust = trust
        self.certificateFile = certificateFile
        self.keyFile = keyFile
    }

    /// Reads the files.
    /// - Returns: the name that is asked for (RFC 6066 §3), so that a listener with `strict_sni` knows whom we mean.
    func client() throws(AdminError) -> (client: TLSClient, name: TLSServerName?) {
        var options = TLSClient.Options()
        options.protocols = [.http11]
        options.certificateFile = certificateFile
        options.keyFile = keyFile
        switch trust {
        case .exactly(let files): options.exactFiles = files
        case .authorities(let file, _): options.caFile = file
        }
        do throws(TLSLoadError) {
            let client = try TLSClient(options, at: Clock.unixSeconds)
            switch trust {
            case .exactly: return (client, client.exactNames.first.flatMap { TLSServerName($0) })
            case .authorities(_, let name): return (client, TLSServerName(name))
            }
        } catch {
            throw AdminError(.configuration, "\(error)")
        }
    }

    /// What went wrong with a listener of this address, and what to do.
    func error(_ failure: HandshakeFault, _ text: String, at address: String) -> AdminError {
        if failure == .certificateNameMismatch, case .authorities(_, let name) = trust {
            return AdminError(
                .encryption, "the certificate of \(address) is not for \(name); --server-name says which name it is for")
        }
        if failure.isOfCertificate {
            switch trust {
            case .exactly(let files):
                return AdminError(
                    .encryption,
                    "\(address) shows another certificate than \(files.joined(separator: ", ")): either it is not the daemon of this "
                        + "configuration, or the daemon has not read the new file; --ca-file names another certificate to trust")
            case .authorities(let file, _):
                return AdminError(.encryption, "the certificate of \(address) is not one that \(file) vouches for: \(text)")
            }
        }
        if failure == .alertFromPeer {
            let remedy =
                if let certificateFile {
                    "does client_auth of the listener accept \(certificateFile)?"
                } else {
                    "where client_auth asks for a certificate, --cert-file and --key-file name one"
                }
            return AdminError(.noAnswer, "\(address) refuses the encrypted connection (\(text)); \(remedy)")
        }
        return AdminError(
            .encryption, "no encrypted connection to \(address): \(failure.name) (\(text)); does the listener have tls?")
    }
}
