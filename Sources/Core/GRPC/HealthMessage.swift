import Primitives

/// What a backend says of a service's health (`grpc.health.v1.HealthCheckResponse.ServingStatus`).
public enum ServingStatus: UInt8, Sendable, CaseIterable {
    /// Also a value that this enumeration has no name for.
    case unknown
    case serving
    case notServing
    /// Only where health is watched; a check of an unknown service ends with NOT_FOUND.
    case serviceUnknown
}

/// Why a body is not the answer to a health check.
public enum HealthMessageFault: Error, Equatable, Sendable {
    /// Less than the length in front of it says.
    case truncated
    /// More than one message.
    case surplus
    /// Compressed, though the request offered no compression.
    case compressed
    /// More than `HealthMessage.responseBytesMax`.
    case tooLong
    /// Not Protocol Buffers.
    case malformed
}

/// The messages of a gRPC health check, with the five bytes in front that each message of gRPC has (gRPC over HTTP2,
/// "Length-Prefixed-Message"; `grpc/health/v1/health.proto`).
public enum HealthMessage {
    public static var path: StaticString { "/grpc.health.v1.Health/Check" }

    /// Two bytes say all; more than this nobody need keep of an answer.
    public static var responseBytesMax: Int { 4096 }

    /// Appends `HealthCheckRequest{service}`.
    /// - Parameter service: UTF-8; empty asks for the server as a whole.
    public static func appendRequest(service: RawSpan, to out: inout ByteBuffer) {
        var message = ByteBuffer(capacity: service.byteCount + 16)
        if service.byteCount > 0 {
            message.append(0x0a)  // Field 1, length-delimited.
            var rest = service.byteCount
            while rest > 0x7f {
                message.append(UInt8(rest & 0x7f) | 0x80)
                rest >>= 7
            }
            message.append(UInt8(rest))
            message.append(service)
        }
        out.append(0)
        let length = UInt32(clamping: message.count)
        for shift: UInt32 in [24, 16, 8, 0] { out.append(UInt8(truncatingIfNeeded: length >> shift)) }
        out.append(message.bytes)
    }

    /// Reads a whole body with one `HealthCheckResponse`. Nothing is allocated, whatever lengths it claims.
    public static func readResponse(_ body: RawSpan) throws(HealthMessageFault) -> ServingStatus {
        guard body.byteCount <= responseBytesMax else { throw .tooLong }
        guard body.byteCount >= 5 else { throw .truncated }
        guard body[0] == 0 else { throw body[0] == 1 ? .compressed : .malformed }
        let length = UInt32(body[1]) << 24 | UInt32(body[2]) << 16 | UInt32(body[3]) << 8 | UInt32(body[4])
        guard length <= UInt32(responseBytesMax) else { throw .tooLong }
        let end = 5 + Int(length)
        guard end <= body.byteCount else { throw .truncated }
        guard end == body.byteCount else { throw .surplus }
        return try readMessage(body.extracting(5..<end))
    }

    /// Fields that are not known are passed over, and of several statuses the last one counts, as the format wants it.
    private static func readMessage(_ message: RawSpan) throws(HealthMessageFault) -> ServingStatus {
        var status = ServingStatus.unknown
        var i = 0
        while i < message.byteCount {
            let tag = try readVarint(message, &i)
            // Field numbers have 29 bits and begin at 1.
            guard tag >= 8, tag <= UInt64(UInt32.max) else { throw .malformed }
            switch tag & 7 {
            case 0:
                let value = try readVarint(message, &i)
                // An enumeration is 32 bits wide; the rest is cut off.
                if tag >> 3 == 1 { status = UInt8(exactly: value & 0xffff_ffff).flatMap(ServingStatus.init) ?? .unknown }
            case 1: try skip(8, message, &i)
            case 2: try skip(try readVarint(message, &i), message, &i)
            case 5: try skip(4, message, &i)
            default: throw .malformed  // Groups, which version 3 of the language has not.
            }
        }
        return status
    }

    /// Seven bits a byte, the lowest first; ten bytes at most.
    private static func readVarint(_ message: RawSpan, _ i: inout Int) throws(HealthMessageFault) -> UInt64 {
        var value: UInt64 = 0
        var shift: UInt64 = 0
        while i < message.byteCount, shift < 64 {
            let byte = message[i]
            i += 1
            guard shift < 63 || byte <= 1 else { throw .malformed }
            value |= UInt64(byte & 0x7f) << shift
            if byte & 0x80 == 0 { return value }
            shift += 7
        }
        throw .malformed
    }

    private static func skip(_ count: UInt64, _ message: RawSpan, _ i: inout Int) throws(HealthMessageFault) {
        guard count <= UInt64(message.byteCount - i) else { throw .malformed }
        i += Int(count)
    }
}
