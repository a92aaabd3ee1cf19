import AdminClient
import Configuration
import Primitives
import Testing

/// One request, one answer, or a line that says why there is none.
@Suite struct AdminConnectionTests {
    @Test func `a GET is one exact message and its answer comes back with type and body`() throws {
        let peer = Peer("HTTP/1.1 200 OK\r\nContent-Type: Text/Plain; charset=utf-8\r\nContent-Length: 3\r\n\r\nhey")
        let answer = try ask(peer, AdminCall(.get, "/routes", parameters: [("cursor", "a b&c")], format: .text))
        #expect(answer.status == 200 && answer.isSuccess && answer.isText && answer.text == "hey")
        #expect(
            peer.request == "GET /routes?cursor=a%20b%26c HTTP/1.1\r\nHost: localhost\r\nUser-Agent: sluice\r\n"
                + "Accept: text/plain\r\nConnection: close\r\n\r\n")
    }

    @Test func `a POST says that it is no browser, and carries its body with type and length`() throws {
        let peer = Peer("HTTP/1.1 204 No Content\r\n\r\n")
        let call = AdminCall(.post, "/explain", format: .json).with(.object([("method", .string("GET"))]))
        #expect(try ask(peer, call).status == 204)
        #expect(peer.request.contains("Accept: application/json\r\n"))
        #expect(
            peer.request.hasSuffix(
                "X-Sluice-Admin: 1\r\nContent-Length: 17\r\nContent-Type: application/json\r\n\r\n{\"method\": \"GET\"}"))
    }

    @Test func `a token goes into the Authorization field and nowhere else`() throws {
        let peer = Peer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        let place = AdminPlace(address: peer.place.address, token: Secret(Array("s3cret".utf8)))
        _ = try AdminConnection(place, timeout: .seconds(5)).send(AdminCall(.get, "/status", format: .text))
        #expect(peer.request.contains("\r\nAuthorization: Bearer s3cret\r\n"))
        #expect(!"\(place)".contains("s3cret"))
    }

    @Test(arguments: [1, 2, 7, 1000]) func `an answer split anywhere is the same answer`(size: Int) throws {
        let text = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        let answer = try ask(Peer(text + "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nTrailer: t\r\n\r\n", chunk: size))
        #expect(answer.status == 200 && answer.text == "abcde" && answer.contentType.isEmpty)
    }

    @Test func `a body without a length ends with the connection`() throws {
        #expect(try ask(Peer("HTTP/1.1 200 OK\r\n\r\nall of it")).text == "all of it")
    }

    @Test func `an answer that says no is an answer`() throws {
        let answer = try ask(Peer("HTTP/1.1 422 Unprocessable Content\r\nContent-Length: 2\r\n\r\nno"))
        #expect(!answer.isSuccess && answer.status == 422 && answer.text == "no")
    }

    @Test(arguments: [
        "", "HTTP/1.1 200 O", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcd",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n",
    ]) func `an answer that is cut off is an error that names the address`(text: String) {
        let peer = Peer(text)
        let path = peer.path
        #expect(failure { try ask(peer) }.hasPrefix("unix:\(path) closed the connection before its answer was complete"))
    }

    @Test(arguments: [
        "220 mail.example.com ESMTP\r\n", "HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ]) func `what is not HTTP is an error that asks whom one talks to`(text: String) {
        #expect(failure { try ask(Peer(text)) }.contains("does not answer in HTTP/1.1"))
    }

    @Test func `a body beyond the limit is refused and one at the limit is not`() throws {
        let body = String(repeating: "x", count: 10)
        #expect(try ask(Peer("HTTP/1.1 200 OK\r\n\r\n\(body)"), bodyBytesMax: 10).body.count == 10)
        #expect(
            failure { try ask(Peer("HTTP/1.1 200 OK\r\n\r\n\(body)x"), bodyBytesMax: 10) }.hasSuffix("is longer than 10 bytes"))
    }

    @Test(arguments: ["", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\na"])
    func `who falls silent is given up at the deadline`(text: String) {
        #expect(
            failure { try ask(Peer(text, ending: .silence), milliseconds: 50) }.hasSuffix(
                "within 50 ms; --timeout sets how long is waited"))
    }

    @Test func `nobody there is an error that names the address and asks for the daemon`() {
        let tcp = AdminConnection(AdminPlace(address: .tcp(IPAddress(v4: 0x7f00_0001), port: 1)), timeout: .seconds(5))
        #expect(
            failure { try tcp.send(AdminCall(.get, "/", format: .text)) }
                == "cannot connect to 127.0.0.1:1: Connection refused; is the daemon running?")
        let unix = AdminConnection(AdminPlace(address: .unix(path: "/nonexistent/s")), timeout: .seconds(5))
        #expect(
            failure { try unix.send(AdminCall(.get, "/", format: .text)) }
                == "cannot connect to unix:/nonexistent/s: No such file or directory; is the daemon running?")
    }

    @Test(arguments: [
        "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n", "1\r\nx\r\n",
    ]) func `who never stops sending is given up at the deadline or before`(text: String) {
        let begin = text.hasPrefix("1") ? "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" : text
        let said = failure {
            try ask(Peer(begin, ending: .endless(text)), milliseconds: 200, bodyBytesMax: 1 << 30)
        }
        #expect(said.contains("within 200 ms") || said.contains("does not answer in HTTP/1.1"))
    }

    @Test func `sixteen interim heads are passed over and one more is refused`() throws {
        let interim = String(repeating: "HTTP/1.1 103 Early Hints\r\n\r\n", count: 16)
        #expect(try ask(Peer(interim + "HTTP/1.1 200 OK\r\n\r\nyes")).text == "yes")
        let more = Peer(interim + "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n\r\nno")
        #expect(failure { try ask(more) }.contains("(too_many_interim_heads)"))
    }

    @Test(arguments: [
        ("\u{1b}]0;pwn\u{7}", "\\u{1b}]0;pwn\\u{7}", "\\u001b]0;pwn\\u0007"), ("a\u{9b}31m", "a\\u{9b}31m", "a\\u009b31m"),
        ("\u{202e}x\u{2066}", "\\u{202e}x\\u{2066}", "\\u202ex\\u2066"), ("a\rb\u{7f}", "a\\u{d}b\\u{7f}", "a\\u000db\\u007f"),
        ("a\tb\nä\u{1f600}", "a\tb\nä\u{1f600}", "a\tb\nä\u{1f600}"),
    ]) func `what could move the cursor or turn the text round is written out`(raw: String, text: String, json: String) {
        func shown(_ type: String) -> String { AdminReply(status: 200, contentType: type, body: Array(raw.utf8)).shown }
        #expect(shown("text/plain") == text && shown("") == text && shown("application/json") == json)
    }

    @Test func `a member is found at the beginning of an answer of any length`() {
        let long = String(repeating: "\"ä\", ", count: 20_000)
        let body = "{\"generation\": 3, \"file\": \"/etc/a b.yaml\", \"more\": [\(long)"
        let reply = AdminReply(status: 200, contentType: "application/json", body: Array(body.utf8))
        #expect(reply.member("file") == "/etc/a b.yaml" && reply.member("generation") == "3" && reply.member("none") == nil)
        #expect(AdminReply(status: 200, contentType: "", body: Array("no object".utf8)).member("file") == nil)
        #expect(AdminReply(status: 200, contentType: "", body: []).member("file") == nil)
    }

    @Test func `several questions share one time`() {
        let peer = Peer("", ending: .silence)
        let connection = AdminConnection(peer.place, timeout: .milliseconds(50))
        let call = AdminCall(.get, "/status", format: .text)
        #expect(failure { try connection.send(call) }.contains("within 50 ms") && connection.isOver)
        #expect(failure { try connection.send(call) }.contains("within 50 ms"))
    }
}
