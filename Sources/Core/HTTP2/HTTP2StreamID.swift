/// One stream of a session: its number on the wire, and the place of its record, so that finding it again costs one comparison.
///
/// A value from a session is good for that session only, and outlives the stream without harm: numbers are never used twice, so
/// that what is asked of a stream that is gone is answered with nil or false.
public struct HTTP2StreamID: Hashable, Sendable {
    /// The stream identifier (RFC 9113 §5.1.1).
    public let number: Int32
    let slot: UInt32

    init(number: Int32, slot: UInt32) {
        self.number = number
        self.slot = slot
    }
}
