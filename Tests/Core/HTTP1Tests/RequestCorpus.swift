import HTTP1

/// Requests that must be refused, with the fault; every test that cuts bytes into pieces uses them too.
/// Numbers are those of the items in the hardening list.
let refusedRequests: [(name: String, text: String, fault: RequestFault)] = [
    // 1
    ("both lengths", request("Content-Length: 4", "Transfer-Encoding: chunked"), .framing(.conflictingLength)),
    ("both lengths, other order", request("Transfer-Encoding: chunked", "Content-Length: 4"), .framing(.conflictingLength)),
    // 2
    ("equal lengths", request("Content-Length: 4", "Content-Length: 4"), .framing(.duplicateContentLength)),
    ("differing lengths", request("Content-Length: 4", "content-length: 5"), .framing(.duplicateContentLength)),
    ("list of lengths", request("Content-Length: 5, 5"), .framing(.invalidContentLength)),
    ("list of differing lengths", request("Content-Length: 5,6"), .framing(.invalidContentLength)),
    // 3
    ("empty length", request("Content-Length:"), .framing(.invalidContentLength)),
    ("signed length", request("Content-Length: +5"), .framing(.invalidContentLength)),
    ("negative length", request("Content-Length: -0"), .framing(.invalidContentLength)),
    ("hexadecimal length", request("Content-Length: 0x10"), .framing(.invalidContentLength)),
    ("grouped length", request("Content-Length: 1_0"), .framing(.invalidContentLength)),
    ("length in two parts", request("Content-Length: 5 5"), .framing(.invalidContentLength)),
    ("tab inside the length", request("Content-Length: 5\t5"), .framing(.invalidContentLength)),
    ("no-break space", request("Content-Length: 5\u{a0}"), .framing(.invalidContentLength)),
    ("Arabic digits", request("Content-Length: \u{d9}\u{a5}"), .framing(.invalidContentLength)),
    ("fraction", request("Content-Length: 5.0"), .framing(.invalidContentLength)),
    // 4
    ("length 2^63", request("Content-Length: 9223372036854775808"), .framing(.invalidContentLength)),
    ("length 2^64", request("Content-Length: 18446744073709551616"), .framing(.invalidContentLength)),
    ("length 10^40", request("Content-Length: 1" + String(repeating: "0", count: 40)), .framing(.invalidContentLength)),
    // 5
    ("xchunked", request("Transfer-Encoding: xchunked"), .framing(.unsupportedTransferEncoding)),
    ("chunked, identity", request("Transfer-Encoding: chunked, identity"), .framing(.unsupportedTransferEncoding)),
    ("gzip, chunked", request("Transfer-Encoding: gzip, chunked"), .framing(.unsupportedTransferEncoding)),
    (",chunked", request("Transfer-Encoding: ,chunked"), .framing(.unsupportedTransferEncoding)),
    ("chunked,", request("Transfer-Encoding: chunked,"), .framing(.unsupportedTransferEncoding)),
    ("chunked;x=1", request("Transfer-Encoding: chunked;x=1"), .framing(.unsupportedTransferEncoding)),
    ("quoted chunked", request("Transfer-Encoding: \"chunked\""), .framing(.unsupportedTransferEncoding)),
    ("identity", request("Transfer-Encoding: identity"), .framing(.unsupportedTransferEncoding)),
    ("empty coding", request("Transfer-Encoding:"), .framing(.unsupportedTransferEncoding)),
    ("chunked twice in one", request("Transfer-Encoding: chunked, chunked"), .framing(.unsupportedTransferEncoding)),
    ("vertical tab before chunked", request("Transfer-Encoding: \u{b}chunked"), .fields(.controlByte)),
    ("form feed behind chunked", request("Transfer-Encoding: chunked\u{c}"), .fields(.controlByte)),
    ("NUL behind chunked", request("Transfer-Encoding: chunked\0"), .fields(.controlByte)),
    ("two codings", request("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"), .framing(.duplicateTransferEncoding)),
    // 6
    ("coding in 1.0", request("Transfer-Encoding: chunked", version: "1.0"), .framing(.transferEncodingInHTTP10)),
    // 14
    ("bare LF behind the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n", .fields(.bareLineFeed)),
    ("bare LF behind a field", "GET / HTTP/1.1\r\nHost: a\n\r\n", .fields(.bareLineFeed)),
    ("bare CR behind the request line", "GET / HTTP/1.1\rHost: a\r\n\r\n", .fields(.bareCarriageReturn)),
    ("bare CR in a value", "GET / HTTP/1.1\r\nHost: a\r\nA: b\rc\r\n\r\n", .fields(.bareCarriageReturn)),
    ("bare CR in a name", "GET / HTTP/1.1\r\nHost: a\r\nA\rB: b\r\n\r\n", .fields(.missingColon)),
    ("CR CR LF", "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", .fields(.bareCarriageReturn)),
    ("bare LF first", "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", .fields(.bareLineFeed)),
    ("bare CR first", "\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", .fields(.bareCarriageReturn)),
    ("bare LF in the target", "GET /\n HTTP/1.1\r\nHost: a\r\n\r\n", .fields(.bareLineFeed)),
    ("bare LF in the method", "GE\nT / HTTP/1.1\r\nHost: a\r\n\r\n", .fields(.bareLineFeed)),
    // 15
    ("end CR LF CR X", "GET / HTTP/1.1\r\nHost: a\r\n\rX", .fields(.bareCarriageReturn)),
    ("end LF LF", "GET / HTTP/1.1\r\nHost: a\n\n", .fields(.bareLineFeed)),
    ("end CR LF LF", "GET / HTTP/1.1\r\nHost: a\r\n\n", .fields(.bareLineFeed)),
    // 16
    ("space before the colon", request("Content-Length : 5"), .fields(.spaceBeforeColon)),
    ("tab before the colon", request("Content-Length\t: 5"), .fields(.spaceBeforeColon)),
    // 17
    ("folded line", request("A: b", " c"), .fields(.obsoleteFolding)),
    ("folded with a tab", request("A: b", "\tc"), .fields(.obsoleteFolding)),
    ("line of one space", request("A: b", " "), .fields(.obsoleteFolding)),
    ("white space before the first field", "GET / HTTP/1.1\r\n Host: a\r\n\r\n", .fields(.obsoleteFolding)),
    ("no colon", request("NoColon"), .fields(.missingColon)),
    ("no colon, first", "GET / HTTP/1.1\r\nHost\r\n\r\n", .fields(.missingColon)),
    ("empty name", request(": v"), .fields(.emptyName)),
    ("empty name, first", "GET / HTTP/1.1\r\n: v\r\nHost: a\r\n\r\n", .fields(.emptyName)),
    // 18
    ("parenthesis in a name", request("A(b): c"), .fields(.invalidName)),
    ("high byte in a name", request("A\u{e9}: c"), .fields(.invalidName)),
    ("no-break space in a name", request("Host\u{a0}: c"), .fields(.invalidName)),
    ("Kelvin sign in a name", request("\u{e2}\u{84}\u{aa}eep-alive: c"), .fields(.invalidName)),
    ("NUL in a name", request("A\0: c"), .fields(.invalidName)),
    // 19
    ("NUL in a value", request("A: b\0c"), .fields(.controlByte)),
    ("DEL in a value", request("A: b\u{7f}"), .fields(.controlByte)),
    ("escape in a value", request("A: \u{1b}[0m"), .fields(.controlByte)),
    // 20
    ("empty method", " / HTTP/1.1\r\nHost: a\r\n\r\n", .notARequest),
    ("method of 33 bytes", String(repeating: "M", count: 33) + " / HTTP/1.1\r\nHost: a\r\n\r\n", .invalidMethod),
    ("parenthesis in the method", "G(T / HTTP/1.1\r\nHost: a\r\n\r\n", .invalidMethod),
    ("tab behind the method", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", .invalidMethod),
    ("high byte in the method", "G\u{c9}T / HTTP/1.1\r\nHost: a\r\n\r\n", .invalidMethod),
    // 21
    ("HTTP/1.32", "GET / HTTP/1.32\r\nHost: a\r\n\r\n", .unsupportedVersion),
    ("HTTP/1.10", "GET / HTTP/1.10\r\nHost: a\r\n\r\n", .unsupportedVersion),
    ("HTTP/1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", .unsupportedVersion),
    ("HTTP/2.0", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", .unsupportedVersion),
    ("HTTP/2", "GET / HTTP/2\r\nHost: a\r\n\r\n", .unsupportedVersion),
    ("HTTP/0.9", "GET / HTTP/0.9\r\nHost: a\r\n\r\n", .unsupportedVersion),
    ("HTTP/11.1", "GET / HTTP/11.1\r\nHost: a\r\n\r\n", .unsupportedVersion),
    ("HTTP/1.", "GET / HTTP/1.\r\nHost: a\r\n\r\n", .malformedRequestLine),
    ("HTTP/1", "GET / HTTP/1\r\nHost: a\r\n\r\n", .malformedRequestLine),
    ("HTTP/", "GET / HTTP/\r\nHost: a\r\n\r\n", .malformedRequestLine),
    ("http/1.1", "GET / http/1.1\r\nHost: a\r\n\r\n", .malformedRequestLine),
    ("HTP/1.1", "GET / HTP/1.1\r\nHost: a\r\n\r\n", .malformedRequestLine),
    ("HTTP 1.1", "GET / HTTP 1.1\r\nHost: a\r\n\r\n", .malformedRequestLine),
    ("HTTP/1,1", "GET / HTTP/1,1\r\nHost: a\r\n\r\n", .malformedRequestLine),
    ("version 0.9 by leaving it out", "GET /\r\n\r\n", .malformedRequestLine),
    // 22
    ("two spaces before the target", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", .malformedRequestLine),
    ("two spaces before the version", "GET /  HTTP/1.1\r\nHost: a\r\n\r\n", .malformedRequestLine),
    ("text behind the version", "GET / HTTP/1.1 x\r\nHost: a\r\n\r\n", .malformedRequestLine),
    ("space behind the version", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n", .malformedRequestLine),
    ("tab before the version", "GET /\tHTTP/1.1\r\nHost: a\r\n\r\n", .invalidTarget),
    ("vertical tab before the version", "GET /\u{b}HTTP/1.1\r\nHost: a\r\n\r\n", .invalidTarget),
    ("method alone", "GET\r\n\r\n", .malformedRequestLine),
    ("no target", "GET HTTP/1.1\r\nHost: a\r\n\r\n", .malformedRequestLine),
    ("fragment in the target", "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", .invalidTarget),
    ("high byte in the target", "GET /\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n", .invalidTarget),
    ("NUL in the target", "GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", .invalidTarget),
    // 23
    ("three empty lines", "\r\n\r\n\r\n" + request(), .emptyLinesBeforeRequest),
    ("space before the request", " " + request(), .notARequest),
    // 25
    ("no Host", "GET / HTTP/1.1\r\nA: b\r\n\r\n", .missingHost),
    ("two Hosts", request("Host: a"), .duplicateHost),
    ("two Hosts, cased", request("HOST: b"), .duplicateHost),
    // 30
    ("other expectation", request("Expect: 200-ok"), .unknownExpectation),
    ("two expectations", request("Expect: 100-continue, x"), .unknownExpectation),
    ("expectation twice", request("Expect: 100-continue", "Expect: 100-continue"), .unknownExpectation),
    ("empty expectation", request("Expect:"), .unknownExpectation),
    // 32
    ("HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", .unsupportedVersion),
    ("TLS handshake", "\u{16}\u{3}\u{1}\u{2}\0\u{1}", .notARequest),
    // 70
    ("X_Forwarded_Proto", request("X_Forwarded_Proto: https"), .underscoreTwin),
    ("Content_Length", request("Content_Length: 5"), .underscoreTwin),
    ("transfer_encoding", request("transfer_encoding: chunked"), .underscoreTwin),
    ("X-Real_IP", request("X-Real_IP: 1.1.1.1"), .underscoreTwin),
    ("X_Auth_Subject", request("X_Auth_Subject: root"), .underscoreTwin),
    // 72
    ("Authorization twice", request("Authorization: a", "Authorization: b"), .duplicateField),
    ("X-API-Key twice", request("X-API-Key: a", "x-api-key: a"), .duplicateField),
    ("Origin twice", request("Origin: http://a", "Origin: http://a"), .duplicateField),
]

/// Requests that must be taken as they are.
let acceptedRequests: [(name: String, text: String)] = [
    ("the shortest", request()),
    ("HTTP/1.0 without Host", "GET / HTTP/1.0\r\n\r\n"),
    ("one empty line first", "\r\n" + request()),
    ("two empty lines first", "\r\n\r\n" + request()),
    ("length", request("Content-Length: 5", method: "POST")),
    ("largest length", request("Content-Length: 9223372036854775807", method: "PUT")),
    ("length with zeros", request("Content-Length: 0000000000000000005", method: "PUT")),
    ("chunked", request("Transfer-Encoding: Chunked", method: "POST")),
    ("body on GET", request("Content-Length: 3")),
    ("expectation", request("Expect:  100-Continue", "Content-Length: 1")),
    ("tokens of all kinds", request("!#$%&'*+-.^_`|~09AZaz: x", "X_Custom: y")),
    ("values of all kinds", request("A: \u{80}\u{ff}\t x", "B:", "C: \t ", "D:\t\tx\t\t", "E: \"a, b\"")),
    ("method of 32 bytes", String(repeating: "M", count: 32) + " / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("lower-case method", "get / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("asterisk", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("absolute form", "GET http://a/b?c=d HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("upgrade", request("Connection: keep-alive, Upgrade", "Upgrade: websocket")),
    ("pipelined", request("Content-Length: 0") + request("X: y")),
    ("many fields", request((1...98).map { "Field-Number-\($0): value \($0)" }.joined(separator: "\r\n"))),
    (
        "a browser's",
        """
        GET /api/v1/users/12345?expand=profile HTTP/1.1\r
        Host: api.example.com\r
        User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:120.0) Gecko/20100101 Firefox/120.0\r
        Accept: application/json, text/plain, */*\r
        Accept-Language: en-US,en;q=0.5\r
        Accept-Encoding: gzip, deflate, br\r
        Referer: https://www.example.com/app/users\r
        Authorization: Bearer abcdefghijklmnopqrstuvwxyz\r
        Connection: keep-alive\r
        Cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r
        X-Request-ID: 01890a5d-ac96-774b-bcce-b302099a8057\r
        TE: trailers, deflate;q=0.5\r
        \r

        """
    ),
]
