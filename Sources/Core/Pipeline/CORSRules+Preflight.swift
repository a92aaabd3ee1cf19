import HTTPMessages
import Primitives

extension CORSRules {
    /// The answer to a preflight (Fetch, CORS-preflight fetch); nil where the request is none.
    ///
    /// 204 in any case: the fields tell the browser what it may do, and none of them that it may not. Where a field is asked for
    /// that is not let in, `Access-Control-Allow-Headers` is left out.
    func preflight(_ head: borrowing RequestHead) -> Answer? {
        guard head.preflightMethodIndex != nil, let index = head.headers.firstIndex(of: .origin) else { return nil }
        var fields = [
            (name: "Vary", value: "Origin, Access-Control-Request-Method, Access-Control-Request-Headers")
        ]
        if origins.hasAny || origins.contains(head.headers.value(index)) {
            let origin = origins.hasAny ? "*" : String(decoding: head.headers.value(index).array(), as: UTF8.self)
            fields.append(("Access-Control-Allow-Origin", origin))
            if allowsCredentials { fields.append(("Access-Control-Allow-Credentials", "true")) }
            if !allowedMethodsText.isEmpty { fields.append(("Access-Control-Allow-Methods", allowedMethodsText)) }
            if !allowedHeaders.text.isEmpty, allowedHeaders.holdsAll(askedBy: head) {
                fields.append(("Access-Control-Allow-Headers", allowedHeaders.text))
            }
            if let maxAgeSeconds { fields.append(("Access-Control-Max-Age", String(maxAgeSeconds))) }
        }
        return Answer(status: 204, fields: fields, reason: "cors_preflight")
    }
}
