import Configuration
import Primitives
import Reactor
import TLS
import Telemetry

/// What the process has for TLS, beyond one configuration: the keys of session tickets, and what was made of files, so that a reload
/// which changes none of it keeps connections and sessions. Belongs to the control thread.
final class TLSStore {
    private var servers: [Made<TLSServerConfiguration, TLSServer>] = []
    private var clients: [Made<TLSClientConfiguration, TLSClient>] = []
    private var ticketKeys: TLSTicketKeys?
    /// The files, as they were when they were looked at last.
    private var stamps = TLSFileStamps([])

    /// - Throws: when a file is missing or malformed, or does not fit to the others.
    func server(
        _ configuration: TLSServerConfiguration, protocols: [TLSProtocol], at now: Instant
    ) throws(TLSLoadError) -> TLSServer {
        if let known = servers.newest(configuration, protocols) { return known }
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
        let server = try TLSServer(options, at: Clock.unixSeconds)
        servers.append(Made(configuration, protocols, server))
        return server
    }

    func client(_ configuration: TLSClientConfiguration, protocols: [TLSProtocol]) throws(TLSLoadError) -> TLSClient {
        if let known = clients.newest(configuration, protocols) { return known }
        var options = TLSClient.Options()
        options.verifies = configuration.verify
        options.caFile = configuration.caFile
        options.authorities = configuration.verify ? try authorities(configuration.caFile) : nil
        options.serverName = configuration.serverName.flatMap { TLSServerName($0) }
        options.certificateFile = configuration.certFile
        options.keyFile = configuration.keyFile
        options.minimumVersion = Self.version(configuration.minimumVersion)
        options.protocols = protocols
        let client = try TLSClient(options, at: Clock.unixSeconds)
        clients.append(Made(configuration, protocols, client))
        return client
    }

    /// A configuration is in force: what only others used is forgotten.
    func keep(_ servers: [TLSServer], _ clients: [TLSClient]) {
        self.servers.keep(servers)
        self.clients.keep(clients)
        look()
    }

    /// Whether what is in use was made of files that are others now.
    var isOutdated: Bool {
        servers.contains { $0.value.files.haveChanged() } || clients.contains { $0.value.files.haveChanged() }
    }

    /// Whether a file has changed since it was looked at last.
    func hasNews() -> Bool {
        guard stamps.haveChanged() else { return false }
        look()
        return true
    }

    private func look() {
        let all = servers.flatMap { $0.value.files.paths } + clients.flatMap { $0.value.files.paths }
        stamps = TLSFileStamps(Array(Set(all)))
    }

    /// What is worth saying of the files in use, each once.
    var warnings: [TLSWarning] {
        var said: Set<TLSWarning> = []
        return (servers.flatMap { $0.value.warnings } + clients.flatMap { $0.value.warnings }).filter { said.insert($0).inserted }
    }

    private func tickets(at now: Instant) throws(TLSLoadError) -> TLSTicketKeys {
        if let ticketKeys { return ticketKeys }
        let keys = try TLSTicketKeys(at: now)
        ticketKeys = keys
        return keys
    }

    /// Replaces the key of session tickets when it has sealed for as long as the most careful listener wants.
    func rotateTickets(at now: Instant) throws(TLSLoadError) {
        let rotation = servers.map(\.configuration).filter(\.sessionTickets).map(\.ticketRotation).min()
        guard let ticketKeys, let rotation else { return }
        _ = try ticketKeys.rotateIfDue(after: rotation, at: now)
    }

    /// The same for all who trust them: the system's alone take some megabytes.
    private func authorities(_ file: String?) throws(TLSLoadError) -> TLSAuthorities? {
        guard let path = file ?? TLSAuthorities.systemFile else { return nil }
        let known = clients.lazy.reversed().compactMap(\.value.authorities).first { $0.file == path }
        if let known, !known.files.haveChanged() { return known }
        return try TLSAuthorities(file: path, at: Clock.unixSeconds)
    }

    private static func clientAuth(_ configuration: ClientAuthConfiguration) -> TLSClientAuth {
        TLSClientAuth(
            mode: configuration.mode == .require ? .require : .request, caFile: configuration.caFile,
            depth: configuration.depth, crlFile: configuration.crlFile)
    }

    private static func version(_ version: TLSVersion) -> HandshakeVersion {
        switch version {
        case .tls12: .tls12
        case .tls13: .tls13
        }
    }
}

/// What was made of files for a part of a configuration.
private struct Made<Configuration: Equatable, Value: MadeOfFiles> {
    let configuration: Configuration
    let protocols: [TLSProtocol]
    let value: Value

    init(_ configuration: Configuration, _ protocols: [TLSProtocol], _ value: Value) {
        self.configuration = configuration
        self.protocols = protocols
        self.value = value
    }
}

private protocol MadeOfFiles: AnyObject {
    var files: TLSFileStamps { get }
}

extension TLSServer: MadeOfFiles {}
extension TLSClient: MadeOfFiles {}

extension Array {
    /// nil: there is none, or its files are others by now. An older one stays as long as it is in use, behind it the one that takes
    /// its place.
    fileprivate func newest<Configuration, Value>(_ configuration: Configuration, _ protocols: [TLSProtocol]) -> Value?
    where Element == Made<Configuration, Value> {
        let known = last { $0.configuration == configuration && $0.protocols == protocols }
        guard let known, !known.value.files.haveChanged() else { return nil }
        return known.value
    }

    fileprivate mutating func keep<Configuration, Value>(_ values: [Value]) where Element == Made<Configuration, Value> {
        let kept = Set(values.map(ObjectIdentifier.init))
        removeAll { !kept.contains(ObjectIdentifier($0.value)) }
    }
}
