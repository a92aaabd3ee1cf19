import HTTPMessages
import Primitives

/// Writes the framing of a chunked body (RFC 9112 §7.1): never extensions, never an empty chunk but the last.
public enum ChunkSerialiser {
    /// Bytes that framing adds to a chunk at most: 16 digits and two line ends.
    public static var overheadBytesMax: Int { 20 }

    /// The size line. `size` bytes of data and `chunkEnd` follow; `size` is not 0, which would end the body.
    public static func chunkHeader(size: Int, into buffer: inout ByteBuffer) {
        precondition(size > 0, "an empty chunk ends the body")
        buffer.append(hexadecimal: UInt64(size))
        buffer.append("\r\n")
    }

    public static func chunkEnd(into buffer: inout ByteBuffer) { buffer.append("\r\n") }

    /// The end of the body, without trailers.
    public static func lastChunk(into buffer: inout ByteBuffer) { buffer.append("0\r\n\r\n") }

    /// The end of the body with the fields of `trailers` that were not removed. False, and nothing written, when one of them has a
    /// byte that may not stand there.
    public static func lastChunk(trailers: borrowing HeaderBlock, into buffer: inout ByteBuffer) -> Bool {
        let start = buffer.count
        buffer.append("0\r\n")
        guard HeadSerialiser.fields(of: trailers, into: &buffer) else {
            buffer.truncate(to: start)
            return false
        }
        buffer.append("\r\n")
        return true
    }
}
