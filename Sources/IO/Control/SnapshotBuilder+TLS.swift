import Configuration
import Primitives
import Proxy
import TLS
import Upstream

/// Listeners with their certificates, and how instances are spoken to.
extension SnapshotBuilder {
    func listeners(at now: Instant) throws(BuildError) -> [ListenerRuntime] {
        var listeners: [ListenerRuntime] = []
        for (index, listener) in configuration.listeners.enumerated() {
            var server: TLSServer?
            if let configured = listener.tls {
                let protocols = listener.protocols.names.compactMap { name -> TLSProtocol? in
                    switch name {
                    case .h2: .h2
                    case .http1: .http11
                    case .h2c: nil
                    }
                }
                do throws(TLSLoadError) {
                    server = try tls.server(configured, protocols: protocols, at: now)
                } catch {
                    throw BuildError([diagnostic(error, configured, at: place(ofListener: index))])
                }
            }
            listeners.append(ListenerRuntime(listener, mergesSlashes: configuration.server.mergeSlashes, tls: server))
        }
        return listeners
    }

    private func place(ofListener index: Int) -> LoadResult.TLSPlaces? {
        places.listenerTLS.indices.contains(index) ? places.listenerTLS[index] : nil
    }

    /// At the part of the block that names the file.
    private func diagnostic(
        _ error: TLSLoadError, _ configured: TLSServerConfiguration, at places: LoadResult.TLSPlaces?
    ) -> Diagnostic {
        guard let places else { return Diagnostic(.error, mark: self.places.admin.mark, path: "tls", message: error.description) }
        var place = places.block
        for (i, certificate) in configured.certificates.enumerated() where places.certificates.indices.contains(i) {
            let files = [certificate.certFile, certificate.keyFile, certificate.ocspFile, certificate.clientAuth?.caFile]
            if files.contains(error.file) { place = places.certificates[i] }
        }
        if let auth = configured.clientAuth, error.file == auth.caFile || error.file == auth.crlFile {
            place = places.clientAuth ?? place
        }
        return Diagnostic(.error, mark: place.mark, path: place.path, message: error.description)
    }

    /// How the instances of a service are spoken to, in their order.
    func dialects(_ service: ServiceConfiguration, _ index: Int) throws(BuildError) -> [BackendDialect] {
        var clients: [BackendDialect.HTTP: TLSClient] = [:]
        var dialects: [BackendDialect] = []
        for instance in service.instances {
            let http: BackendDialect.HTTP =
                switch instance.protocol {
                case .auto: instance.isSecure ? .negotiated : .http1
                case .http1: .http1
                case .h2, .h2c: .http2
                }
            let isSecure = instance.isSecure && service.enabled
            if isSecure, clients[http] == nil { clients[http] = try client(http, service, index) }
            dialects.append(
                BackendDialect(
                    http, tls: isSecure ? clients[http] : nil, name: serverName(instance.address),
                    streamsMax: service.pool.maxStreams))
        }
        return dialects
    }

    private func client(
        _ http: BackendDialect.HTTP, _ service: ServiceConfiguration, _ index: Int
    ) throws(BuildError) -> TLSClient {
        let protocols: [TLSProtocol] =
            switch http {
            case .http1: [.http11]
            case .http2: [.h2]
            case .negotiated: [.h2, .http11]
            }
        do throws(TLSLoadError) {
            return try tls.client(service.tls ?? TLSClientConfiguration(), protocols: protocols)
        } catch {
            let place = places.serviceTLS.indices.contains(index) ? places.serviceTLS[index] : places.admin
            throw BuildError([Diagnostic(.error, mark: place.mark, path: place.path, message: error.description)])
        }
    }

    private func serverName(_ address: InstanceAddress) -> TLSServerName? {
        switch address {
        case .ip(let ip, _): TLSServerName(ip.text)
        case .name(let name, _): TLSServerName(name)
        case .unix: nil
        }
    }
}
