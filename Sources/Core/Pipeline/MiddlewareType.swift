/// A kind of middleware that a build of the daemon knows beside its own: what `custom: {type: NAME}` of the configuration names.
///
///     let tenantCheck = MiddlewareType("tenant_check") { options in
///         TenantCheck(url: try options.string("url"), timeout: try options.duration("timeout", default: .seconds(1)))
///     }
public struct MiddlewareType: Sendable {
    /// As the configuration writes it.
    public let name: String
    /// Makes one middleware for each block of this type: at the start, at each reload that changes the configuration, and in
    /// `sluice check`, which serves nothing. So it should start nothing and open nothing that the first request cannot as well.
    ///
    /// What it throws stands in the diagnostic at the block's place, and keeps the configuration from being used.
    public let make: @Sendable (MiddlewareOptions) throws -> any Middleware

    public init(_ name: String, make: @escaping @Sendable (MiddlewareOptions) throws -> any Middleware) {
        self.name = name
        self.make = make
    }

    /// Calls `make`, and refuses options that it has not read: they are misspelt.
    public func middleware(_ options: MiddlewareOptions) throws -> any Middleware {
        let made = try make(options)
        if let key = options.unread.first {
            throw MiddlewareOptionError(key: key, problem: "\(name) has no such option\(options.known)")
        }
        return made
    }
}
