import Primitives

/// The paths of the admin API that name a service, as they stand and below `/api/v1/gateway`.
enum ServicePath: Equatable {
    case services
    case service(String)
    case instance(String, of: String)
    case drain(String, of: String)
    case undrain(String, of: String)
    case breakers
    /// Of one service.
    case breaker(String)
    case trip(String)
    case reset(String)
    /// `/health-check/{service}`.
    case health(String)

    private static var prefix: String { "/api/v1/gateway" }

    /// - Parameter path: canonical, with its escapes. A name that holds slashes may be written with and without escapes; where a
    ///   part of it is a word of the path, only the escape tells them apart.
    init?(_ path: String) {
        let hasPrefix = path.hasPrefix(Self.prefix + "/")
        let parts = (hasPrefix ? path.dropFirst(Self.prefix.count) : path[...]).dropFirst()
            .split(separator: "/", omittingEmptySubsequences: false)
        guard let kind = parts.first, !parts.dropFirst().contains("") else { return nil }
        let names = parts.dropFirst()
        switch kind {
        case "services": self.init(service: names)
        case "breakers": self.init(breaker: names)
        case "health-check" where !hasPrefix && !names.isEmpty: self = .health(Self.name(names))
        default: return nil
        }
    }

    private init?(service names: ArraySlice<Substring>) {
        guard !names.isEmpty else {
            self = .services
            return
        }
        guard let place = names.dropFirst().firstIndex(of: "instances") else {
            self = .service(Self.name(names))
            return
        }
        let service = Self.name(names[..<place])
        let id = names[(place + 1)...]
        switch id.last {
        case "drain"? where id.count > 1: self = .drain(Self.name(id.dropLast()), of: service)
        case "undrain"? where id.count > 1: self = .undrain(Self.name(id.dropLast()), of: service)
        case .some: self = .instance(Self.name(id), of: service)
        case nil: return nil
        }
    }

    private init?(breaker names: ArraySlice<Substring>) {
        switch names.last {
        case nil: self = .breakers
        case "trip"? where names.count > 1: self = .trip(Self.name(names.dropLast()))
        case "reset"? where names.count > 1: self = .reset(Self.name(names.dropLast()))
        case .some: self = .breaker(Self.name(names))
        }
    }

    private static func name(_ parts: ArraySlice<Substring>) -> String {
        PercentText.decoded(Array(parts.joined(separator: "/").utf8))
    }

    var methods: [String] {
        switch self {
        case .services, .service, .instance, .breakers, .breaker, .health: ["GET", "HEAD"]
        case .drain, .undrain, .trip, .reset: ["POST"]
        }
    }
}
