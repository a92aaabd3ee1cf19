import HTTPMessages
import Primitives

/// Reads the trailer section of a chunked body (RFC 9112 §7.1.2) and keeps what may be passed on.
public enum TrailerParser {
    /// - Parameters:
    ///   - section: the bytes that `BodyStep.trailers` gave out, in their order.
    ///   - block: gets the permitted fields at its end, with their bytes. After a fault it holds none of them.
    /// - Returns: what is wrong with a line, or nil. The message is malformed then, even though its data was good.
    public static func parse(_ section: RawSpan, limits: Limits, into block: inout HeaderBlock) -> FieldFault? {
        let countBefore = block.count
        let fault = section.withUnsafeBytes { buffer -> FieldFault? in
            guard let start = buffer.baseAddress else { return nil }
            let base = start.assumingMemoryBound(to: UInt8.self)
            return withUnsafeTemporaryAllocation(of: ScannedLine.self, capacity: FieldScanner.room) { lines in
                read(FieldScanner(base, count: buffer.count, from: 0, limits: limits, lines: lines), lines, &block)
            }
        }
        if fault != nil {
            for index in countBefore..<block.count { block.remove(at: index) }
        }
        return fault
    }

    private static func read(
        _ start: FieldScanner, _ lines: UnsafeMutableBufferPointer<ScannedLine>, _ block: inout HeaderBlock
    ) -> FieldFault? {
        var scanner = start
        while true {
            let count = scanner.read()
            for i in 0..<count {
                let name = RawSpan(_unsafeBytes: scanner.name(lines[i]))
                if isPermitted(name) { block.add(.other, name: name, value: RawSpan(_unsafeBytes: scanner.value(lines[i]))) }
            }
            switch scanner.step {
            case .more: continue
            case .end, .partial: return nil
            case .fault(let fault): return fault
            }
        }
    }

    /// A trailer comes after every decision about the message was taken, so it may not be one that decides (RFC 9110 §6.5.1):
    /// dropped are all names that the gateway knows, whole families of them, and their twins with underscores.
    static func isPermitted(_ name: RawSpan) -> Bool {
        switch FieldID(readingUnderscoresAsDashes: name) {
        case .other: break
        default: return false
        }
        return
            !(startsWith(name, "content-") || startsWith(name, "x-auth-") || startsWith(name, "x-user-")
            || startsWith(name, "x-consumer-") || startsWith(name, "x-client-cert-") || startsWith(name, "x-forwarded-"))
    }

    private static func startsWith(_ name: RawSpan, _ prefix: StaticString) -> Bool {
        let count = prefix.utf8CodeUnitCount
        guard name.byteCount >= count else { return false }
        for i in 0..<count {
            let byte = name[i] == ASCII.underscore ? ASCII.dash : ASCII.lowercased(name[i])
            if byte != prefix.utf8Start[i] { return false }
        }
        return true
    }
}
