import COpenSSL
import Telemetry

extension HandshakeVersion {
    init(of ssl: OpaquePointer) { self = SSL_version(ssl) == TLS1_3_VERSION ? .tls13 : .tls12 }

    var number: Int32 {
        switch self {
        case .tls12: TLS1_2_VERSION
        case .tls13: TLS1_3_VERSION
        }
    }
}
