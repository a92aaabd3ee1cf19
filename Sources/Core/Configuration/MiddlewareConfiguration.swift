/// A named step that routes put into their chain.
public struct MiddlewareConfiguration: Sendable, Equatable {
    public var name: String
    public var kind: MiddlewareKind

    public init(name: String, kind: MiddlewareKind) {
        self.name = name
        self.kind = kind
    }
}

public enum MiddlewareKind: Sendable, Equatable {
    case headers(HeaderRules)
    /// A request body longer than this many bytes gets 413; `Int.max` is no limit.
    case bodySize(max: Int)
}

/// Changes to the fields of a request on its way to the backend and of an answer on its way to the client.
public struct HeaderRules: Sendable, Equatable {
    public var request = HeaderChanges()
    public var response = HeaderChanges()

    public init() {}
}

/// Carried out in this order: remove, set, add.
public struct HeaderChanges: Sendable, Equatable {
    /// Names as written.
    public var remove: [String] = []
    /// Takes the place of every field of that name.
    public var set: [HeaderRule] = []
    /// Put behind what is there.
    public var add: [HeaderRule] = []

    public var isEmpty: Bool { remove.isEmpty && set.isEmpty && add.isEmpty }

    public init() {}
}

public struct HeaderRule: Sendable, Equatable {
    /// A token, as written; never a field that the gateway itself owns.
    public var name: String
    public var value: [HeaderValuePiece]

    public init(name: String, value: [HeaderValuePiece]) {
        self.name = name
        self.value = value
    }
}

/// Part of a value that is put together for each request.
public enum HeaderValuePiece: Sendable, Equatable {
    /// No control byte other than HTAB.
    case literal([UInt8])
    case variable(HeaderVariable)
}

/// What `${…}` may name in a header value; the raw value is the name.
public enum HeaderVariable: String, Sendable, Equatable, CaseIterable {
    case clientAddress = "client.address"
    case clientPort = "client.port"
    case requestID = "request.id"
    case route
    case service
    /// The chosen instance; empty before one is chosen.
    case instance
    case host
    /// The canonical path, without the query.
    case path
    case method
    case scheme
    /// RFC 3339 in UTC with milliseconds.
    case timestamp
    case listener
}
