import Configuration
import Primitives
import Reactor
import TLS

/// What the process has for TLS, beyond one configuration: the keys of session tickets, and what was made of files, so that a reload
/// which changes none of it keeps connections and sessions. Belongs to the control thread.
final class TLSStore {
    private struct ServerEntry {
        let configuration: TLSServerConfiguration
        let protocols: [TLSProtocol]
        let server: TLSServer
    }

    private struct ClientEntry {
        let configuration: TLSClientConfiguration
        let protocols: [TLSProtocol]
        let client: TLSClient
    }

    private var servers: [ServerEntry] = []
    private var clients: [ClientEntry] = []
    private struct AuthoritiesEntry {
        let authorities: TLSAuthorities
        let stamps: TLSFileStamps
    }

    private var authorities: [String: AuthoritiesEntry] = [:]
    private var ticketKeys: TLSTicketKeys?
    /// The files, as they were when they were looked at last.
    private var stamps = TLSFileStamps([])
    private var nextLook = Instant(nanoseconds: 0)

    /// How often files are looked at.
    private static var lookEvery: TimeAmount { .seconds(1) }

    /// - Throws: when a file is missing or malformed, or does not fit to the others.
    func server(
        _ configuration: TLSServerConfiguration, protocols: [TLSProtocol], at now: Instant
    ) throws(TLSLoadError) -> TLSServer {
        let known = servers.first { $0.configuration == configuration && $0.protocols == protocols }
        if let known, !known.server.files.haveChanged() { return known.server }
        var options = TLSServer.Options(
            certificates: configuration.certificates.map { certificate in
                TLSServer.CertificateFiles(
                    certificateFile: certificate.certFile, keyFile: certificate.keyFile, ocspFile: certificate.ocspFile,
                    names: certificate.names, clientAuth: certificate.clientAuth.map(Self.clientAuth))
            })
        options.clientAuth = configuration.clientAuth.map(Self.clientAuth)
        options.minimumVersion = Self.version(configuration.minimumVersion)
        options.protocols = protocols
        options.strictSNI = configuration.strictSNI
        options.ticketKeys = configuration.sessionTickets ? try tickets(at: now) : nil
        let server = try TLSServer(options, at: Self.unixSeconds)
        servers.append(ServerEntry(configuration: configuration, protocols: protocols, server: server))
        return server
    }

    func client(
        _ configuration: TLSClientConfiguration, protocols: [TLSProtocol], at now: Instant
    ) throws(TLSLoadError) -> TLSClient {
        let known = clients.first { $0.configuration == configuration && $0.protocols == protocols }
        if let known, !known.client.files.haveChanged() { return known.client }
        var options = TLSClient.Options()
        options.verifies = configuration.verify
        options.caFile = configuration.caFile
        if configuration.verify { options.authorities = try authorities(configuration.caFile) }
        options.serverName = configuration.serverName.flatMap { TLSServerName($0) }
        options.certificateFile = configuration.certFile
        options.keyFile = configuration.keyFile
        options.minimumVersion = Self.version(configuration.minimumVersion)
        options.protocols = protocols
        let client = try TLSClient(options, at: Self.unixSeconds)
        clients.append(ClientEntry(configuration: configuration, protocols: protocols, client: client))
        return client
    }

    /// A configuration is in force: what only others used is forgotten.
    func keep(_ servers: [TLSServer], _ clients: [TLSClient]) {
        self.servers.removeAll { entry in !servers.contains { $0 === entry.server } }
        self.clients.removeAll { entry in !clients.contains { $0 === entry.client } }
        look()
    }

    /// Whether what is in use was made of files that are others now.
    var isOutdated: Bool {
        servers.contains { $0.server.files.haveChanged() } || clients.contains { $0.client.files.haveChanged() }
    }

    /// Whether a file has changed since it was looked at last. Asked as often as one likes, it looks about once a second.
    func hasNews(at now: Instant) -> Bool {
        guard now >= nextLook else { return false }
        nextLook = now + Self.lookEvery
        guard stamps.haveChanged() else { return false }
        look()
        return true
    }

    private func look() {
        let paths = servers.flatMap { $0.server.files.paths } + clients.flatMap { $0.client.files.paths }
        stamps = TLSFileStamps(Array(Set(paths)).sorted())
    }

    private func tickets(at now: Instant) throws(TLSLoadError) -> TLSTicketKeys {
        if let ticketKeys { return ticketKeys }
        let keys = try TLSTicketKeys(at: now)
        ticketKeys = keys
        return keys
    }

    /// Replaces the key of session tickets when it has sealed for long enough.
    /// - Parameter rotation: the shortest that a listener asks for.
    func rotateTickets(every rotation: TimeAmount, at now: Instant) throws(TLSLoadError) {
        guard let ticketKeys else { return }
        _ = try ticketKeys.rotateIfDue(after: rotation, at: now)
    }

    /// The same for all who trust them: the system's alone take some megabytes.
    private func authorities(_ file: String?) throws(TLSLoadError) -> TLSAuthorities? {
        guard let path = file ?? TLSAuthorities.systemFile else { return nil }
        let known = authorities[path]
        if let known, !known.stamps.haveChanged() { return known.authorities }
        let stamps = TLSFileStamps([path])
        let authorities = try TLSAuthorities(file: path, at: Self.unixSeconds)
        self.authorities[path] = AuthoritiesEntry(authorities: authorities, stamps: stamps)
        return authorities
    }

    private static func clientAuth(_ configuration: ClientAuthConfiguration) -> TLSClientAuth {
        TLSClientAuth(
            mode: configuration.mode == .require ? .require : .request, caFile: configuration.caFile,
            depth: configuration.depth, crlFile: configuration.crlFile)
    }

    private static func version(_ version: Configuration.TLSVersion) -> TLS.TLSVersion {
        switch version {
        case .tls12: .v1_2
        case .tls13: .v1_3
        }
    }

    private static var unixSeconds: Int64 { Int64(clamping: Clock.realtime / 1_000_000_000) }
}
