import HTTPMessages
import Primitives

/// One change to the fields of a message, as configured.
public struct HeaderRule: Sendable, Equatable {
    public enum Operation: Sendable, Equatable {
        /// Takes the place of all fields of the name.
        case set
        /// Stands behind those that are there.
        case add
        /// Removes all fields of the name.
        case remove
    }

    public var operation: Operation
    /// As it is to be written.
    public var name: [UInt8]
    /// The value, put together for each message; unused by `remove`.
    public var pieces: [HeaderPiece]

    public init(_ operation: Operation, name: [UInt8], pieces: [HeaderPiece] = []) {
        self.operation = operation
        self.name = name
        self.pieces = pieces
    }
}

/// Part of a value.
public enum HeaderPiece: Sendable, Equatable {
    case text([UInt8])
    case variable(HeaderVariable)
}

/// What a value may name; one that is not known in this phase, or not at all, is empty.
public enum HeaderVariable: UInt8, Sendable, Equatable, CaseIterable {
    case clientAddress
    /// Known where the client is the peer.
    case clientPort
    case requestID
    case route
    case service
    /// Known in the response phase.
    case instance
    case listener
    /// The canonical host, without the port.
    case host
    /// The canonical path, without the query.
    case path
    /// The token as received.
    case method
    case scheme
    /// RFC 3339 in UTC with milliseconds: when the request came.
    case timestamp
    // Of the client's certificate; empty where it showed none.
    case clientCertSubject
    case clientCertFingerprint
    case clientCertSAN
}

/// Why header rules cannot be compiled.
public enum HeaderRuleError: Error, Equatable, Sendable {
    /// The name is no token of at most 256 bytes.
    case invalidName([UInt8])
    /// The gateway writes this field itself: a rule would break the framing, or say who the client is in the gateway's name.
    case ownedByGateway([UInt8])
    /// A text has a control byte.
    case invalidValue(name: [UInt8])
}
