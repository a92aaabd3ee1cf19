/// The names that a configuration gives to its parts, by the indices that a `RequestContext` carries.
///
/// A request carries numbers, so that nothing is retained for it; whoever needs a name looks it up here.
public final class NameTable: Sendable {
    public let listeners: [[UInt8]]
    public let routes: [[UInt8]]
    public let services: [[UInt8]]
    /// The instances of all services, one after the other.
    public let instances: [[UInt8]]

    public init(listeners: [[UInt8]] = [], routes: [[UInt8]] = [], services: [[UInt8]] = [], instances: [[UInt8]] = []) {
        self.listeners = listeners
        self.routes = routes
        self.services = services
        self.instances = instances
    }
}
