import Configuration
import Primitives

/// One request to the admin listener.
public struct AdminCall: Sendable {
    /// What the answer's body should be.
    public enum Format: Sendable {
        case text, json

        var accept: String {
            switch self {
            case .text: "text/plain"
            case .json: "application/json"
            }
        }
    }

    public enum Method: String, Sendable {
        case get = "GET"
        case post = "POST"
        case put = "PUT"
    }

    public var method: Method
    public var path: String
    /// In the query, encoded when they are written.
    public var parameters: [(name: String, value: String)]
    /// With this type where there is one.
    public var body: (bytes: [UInt8], contentType: String)?
    public var format: Format

    public init(_ method: Method = .get, _ path: String, parameters: [(name: String, value: String)] = [], format: Format) {
        self.method = method
        self.path = path
        self.parameters = parameters
        self.format = format
    }

    /// The same with a body of JSON.
    public func with(_ json: JSONValue) -> AdminCall {
        var call = self
        call.body = (Array(json.text.utf8), "application/json")
        return call
    }

    /// The whole message. The connection is for this request alone.
    func bytes(for place: AdminPlace) -> [UInt8] {
        var lines = [
            "\(method.rawValue) \(target) HTTP/1.1", "Host: \(place.address.hostField)", "User-Agent: sluice",
            "Accept: \(format.accept)", "Connection: close",
        ]
        switch method {
        case .get: break
        case .post, .put:
            // No page of a browser can set it, which is how the daemon tells us from one.
            lines.append("X-Sluice-Admin: 1")
            lines.append("Content-Length: \(body?.bytes.count ?? 0)")
            if let body { lines.append("Content-Type: \(body.contentType)") }
        }
        if !place.token.isEmpty {
            lines.append("Authorization: Bearer \(String(decoding: place.token.bytes, as: UTF8.self))")
        }
        return Array((lines.joined(separator: "\r\n") + "\r\n\r\n").utf8) + (body?.bytes ?? [])
    }

    private var target: String {
        let query = parameters.map { "\(Self.encoded($0.name))=\(Self.encoded($0.value))" }.joined(separator: "&")
        return query.isEmpty ? path : "\(path)?\(query)"
    }

    /// A path of these parts, each encoded, slashes included.
    public static func path(_ parts: String...) -> String { parts.map { "/" + encoded($0) }.joined() }

    /// Everything but the unreserved characters as an escape (RFC 3986 §2.3).
    static func encoded(_ text: String) -> String {
        var out = ""
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "~"):
                out.unicodeScalars.append(Unicode.Scalar(byte))
            default:
                let digits = Array("0123456789ABCDEF".unicodeScalars)
                out.unicodeScalars.append("%")
                out.unicodeScalars.append(digits[Int(byte >> 4)])
                out.unicodeScalars.append(digits[Int(byte & 15)])
            }
        }
        return out
    }
}
