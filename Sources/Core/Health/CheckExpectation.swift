/// What a check must find to pass.
public struct CheckExpectation: Sendable, Hashable {
    /// A field that the response must have.
    public struct Field: Sendable, Hashable {
        public let name: [UInt8]
        /// What its value must contain; empty for anything.
        public let value: [UInt8]

        /// - Parameter name: in any case.
        public init(name: [UInt8], value: [UInt8] = []) {
            self.name = name.map(CheckExpectation.lowered)
            self.value = value
        }
    }

    /// Empty: 200 to 399.
    public var statuses: [UInt16]
    /// What the first 64 KiB of the body must contain; empty for anything.
    public var body: [UInt8]
    public var field: Field?

    public init(statuses: [UInt16] = [], body: [UInt8] = [], field: Field? = nil) {
        self.statuses = statuses
        self.body = body
        self.field = field
    }

    public func accepts(_ status: UInt16) -> Bool {
        statuses.isEmpty ? (200...399).contains(status) : statuses.contains(status)
    }

    static func lowered(_ byte: UInt8) -> UInt8 { (65...90).contains(byte) ? byte + 32 : byte }
}
