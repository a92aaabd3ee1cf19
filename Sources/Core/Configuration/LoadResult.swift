/// What became of a configuration file.
public struct LoadResult: Sendable {
    /// Nil when there is an error among the diagnostics, or when a value of the file is not known (`SecretSource.isOpaque`).
    public var configuration: GatewayConfiguration?
    /// In the order of the file; at most `DiagnosticList.maximum`, with a last line that counts the rest.
    public var diagnostics: [Diagnostic]
    /// The file itself first, then the secrets that it names.
    public var filesRead: [String]
    /// Where the parts of `configuration` stand, for what is found only when they are put to use (a port in use, two routes
    /// that tie). Kept apart so that a file in which only lines moved compares equal.
    public var places: Places
    /// What `ConfigurationLoader.effective` needs; nil when there was no text.
    public var origin: ConfigurationOrigin?

    public init(configuration: GatewayConfiguration?, diagnostics: [Diagnostic], filesRead: [String], places: Places) {
        self.configuration = configuration
        self.diagnostics = diagnostics
        self.filesRead = filesRead
        self.places = places
    }

    public var errors: [Diagnostic] { diagnostics.filter { $0.severity == .error } }
    public var warnings: [Diagnostic] { diagnostics.filter { $0.severity == .warning } }

    /// Where a value stands: its mark and the path of its key, as in a `Diagnostic`.
    public struct Place: Sendable, Equatable {
        public var mark: Mark
        public var path: String

        public init(mark: Mark, path: String) {
            self.mark = mark
            self.path = path
        }
    }

    /// Index for index as in the arrays of `GatewayConfiguration`.
    public struct Places: Sendable, Equatable {
        /// Of `listeners[i].address`.
        public var listeners: [Place] = []
        public var services: [Place] = []
        /// Of `routes[i].match`.
        public var routes: [Place] = []
        /// Of the block that says what kind it is, by the middleware's name.
        public var middlewares: [String: Place] = [:]
        public var admin = Place(mark: Mark(file: "", line: 1, column: 1), path: "admin")
        public var accessLog = Place(mark: Mark(file: "", line: 1, column: 1), path: "access_log")

        /// Nil where the listener has no TLS.
        public var listenerTLS: [TLSPlaces?] = []
        public var adminTLS: TLSPlaces?
        /// Of `services[i].tls`; of the service where it has no such block.
        public var serviceTLS: [Place] = []

        public init() {}
    }

    /// Where the parts of a `TLSServerConfiguration` stand.
    public struct TLSPlaces: Sendable, Equatable {
        public var block: Place
        /// Index for index as in `certificates`.
        public var certificates: [Place] = []
        /// Of the block's own.
        public var clientAuth: Place?

        public init(block: Place) { self.block = block }
    }
}
