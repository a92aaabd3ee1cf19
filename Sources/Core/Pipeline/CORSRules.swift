import HTTPMessages
import Primitives

/// Which scripts of other sites may read a route's answers (Fetch standard, HTTP-CORS protocol), compiled.
///
/// Preflights are answered here and never reach a backend. On every other answer, the gateway's own errors among them, the
/// backend's `Access-Control-*` fields are replaced by those that these rules give, so that there are never two of a kind, and
/// `Vary` names `Origin`, so that no cache gives one site the answer that was made for another. An origin that is not let in gets
/// the answer without such fields; it is the browser that then keeps it from the script.
public final class CORSRules: Sendable {
    let origins: OriginList
    let allowsCredentials: Bool
    let allowedHeaders: CORSHeaderList
    /// Values as they are written; empty where the field is not.
    let allowedMethodsText: String
    private let exposed: [UInt8]
    let maxAgeSeconds: Int?

    /// - Parameters:
    ///   - allowOrigins: `https://app.example.com`, `https://*.example.com`, `null`, `*`.
    ///   - allowMethods: `*` is any.
    ///   - allowHeaders: what scripts may send beside the few fields that every script may; `*` is any but `Authorization`.
    ///   - exposeHeaders: what scripts may read; `*` is any.
    ///   - maxAgeSeconds: how long a browser remembers the answer to a preflight; nil leaves that to the browser (5 s).
    /// - Throws: also where a `*` or `null` stands with credentials: any site could then act for the user.
    public init(
        allowOrigins: [String], allowMethods: [String] = ["GET", "HEAD", "POST"], allowHeaders: [String] = [],
        exposeHeaders: [String] = [], allowCredentials: Bool = false, maxAgeSeconds: Int? = nil
    ) throws(CORSRuleError) {
        var origins = OriginList()
        for origin in allowOrigins {
            guard origins.append(origin) else { throw .invalidOrigin(origin) }
        }
        for method in allowMethods where !CORSRules.isName(method) { throw .invalidMethod(method) }
        for header in allowHeaders + exposeHeaders where !CORSRules.isName(header) { throw .invalidHeader(header) }
        if allowCredentials {
            if origins.hasNull { throw .nullWithCredentials }
            if origins.hasAny || (allowMethods + allowHeaders + exposeHeaders).contains("*") { throw .anyWithCredentials }
        }
        self.origins = origins
        allowsCredentials = allowCredentials
        allowedHeaders = CORSHeaderList(allowHeaders)
        allowedMethodsText = allowMethods.joined(separator: ", ")
        exposed = Array(exposeHeaders.joined(separator: ", ").utf8)
        self.maxAgeSeconds = maxAgeSeconds.map { max($0, 0) }
    }

    /// A token that, with the others, fits a field.
    private static func isName(_ text: String) -> Bool {
        let bytes = Array(text.utf8)
        return bytes.count <= 128 && isToken(bytes.span.bytes)
    }

    /// Replaces what the backend said of this by what the rules say.
    func apply(to head: inout ResponseHead, request: borrowing RequestHead) {
        let isPreflight = request.preflightMethodIndex != nil
        var variesByOrigin = false
        for i in 0..<head.headers.count where head.headers.fields[i].id == .other && !head.headers.fields[i].isRemoved {
            if head.headers.name(i).equals(ignoringCase: "vary") {
                if CORSRules.namesOrigin(head.headers.value(i)) { variesByOrigin = true }
            } else if !isPreflight, head.headers.name(i).hasPrefix(ignoringCase: "access-control-") {
                head.headers.remove(at: i)
            }
        }
        if !variesByOrigin { head.headers.addField("Vary", "Origin") }
        // The answer to a preflight was made with all that belongs there.
        if isPreflight { return }
        if origins.hasAny {
            head.headers.addField("Access-Control-Allow-Origin", "*")
        } else {
            guard let index = CORSRules.originIndex(request.headers), origins.contains(request.headers.value(index)) else {
                return
            }
            head.headers.addField("Access-Control-Allow-Origin", request.headers.value(index))
            if allowsCredentials { head.headers.addField("Access-Control-Allow-Credentials", "true") }
        }
        if !exposed.isEmpty {
            let exposed = self.exposed
            head.headers.addField("Access-Control-Expose-Headers", exposed.span.bytes)
        }
    }

    /// The received `Origin`, also where a middleware has kept it from the backend since. A second one was refused before.
    private static func originIndex(_ headers: borrowing HeaderBlock) -> Int? {
        for i in 0..<headers.count where headers.fields[i].id == .origin { return i }
        return nil
    }

    /// Whether a value of `Vary` has `Origin` or `*` among its elements.
    private static func namesOrigin(_ value: RawSpan) -> Bool {
        var start = 0
        while start <= value.byteCount {
            let rest = value.extracting(start..<value.byteCount)
            let end = rest.firstIndex(of: ASCII.comma) ?? rest.byteCount
            let element = rest.extracting(0..<end).trimmingWhitespace()
            if element.equals(ignoringCase: "origin") || element.equals("*") { return true }
            start += end + 1
        }
        return false
    }
}

/// Why rules for CORS cannot be compiled.
public enum CORSRuleError: Error, Equatable, Sendable {
    /// Not `scheme://host`, with a port or without.
    case invalidOrigin(String)
    case invalidMethod(String)
    case invalidHeader(String)
    /// A `*` for origins, methods or fields beside `allowCredentials` (Fetch: there it is no wildcard, or refused by browsers).
    case anyWithCredentials
    /// Every site can open a sandboxed frame, whose origin is `null`.
    case nullWithCredentials
}

extension HeaderBlock {
    fileprivate mutating func addField(_ name: StaticString, _ value: RawSpan) {
        let name = RawSpan(_unsafeStart: UnsafeRawPointer(name.utf8Start), byteCount: name.utf8CodeUnitCount)
        add(.other, name: name, value: value)
    }

    fileprivate mutating func addField(_ name: StaticString, _ value: StaticString) {
        addField(name, RawSpan(_unsafeStart: UnsafeRawPointer(value.utf8Start), byteCount: value.utf8CodeUnitCount))
    }
}
