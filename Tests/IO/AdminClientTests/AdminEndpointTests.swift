import AdminClient
import Configuration
import Primitives
import Testing

/// Whom the command line asks, and what it shows.
@Suite struct AdminEndpointTests {
    private func find(
        address: String = "", tokenFile: String = "", file: String = "/nonexistent.yaml", environment: [String: String] = [:]
    ) throws(AdminError) -> AdminEndpoint {
        try AdminEndpoint.find(
            .init(address: address, tokenFile: tokenFile, configurationFile: file), environment: { environment[$0] })
    }

    private func configuration(_ admin: String) -> String {
        "listeners: [{name: web, address: \"127.0.0.1:8000\"}]\nadmin: \(admin)\nroutes: []\n"
    }

    @Test(arguments: [
        ("127.0.0.1:9901", "127.0.0.1:9901"), ("localhost:80", "127.0.0.1:80"), ("[::1]:9901", "[::1]:9901"),
        ("unix:/run/sluice/admin.sock", "unix:/run/sluice/admin.sock"), ("192.0.2.7:65535", "192.0.2.7:65535"),
    ]) func `an address is read as it is written`(written: String, read: String) {
        #expect(AdminAddress(written)?.text == read)
    }

    @Test(arguments: [
        "", ":", "9901", ":9901", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:+1", "127.0.0.1:", "::1:9901",
        "[::1]",
        "[]:1", "[127.0.0.1]:1", "example.com:1", "unix:", "http://127.0.0.1:9901", "unix:\(String(repeating: "x", count: 108))",
        "unix:/a\0b",
    ]) func `what is no address is refused`(text: String) {
        #expect(AdminAddress(text) == nil)
        if !text.isEmpty { #expect(failure { try find(address: text) }.hasPrefix("--admin: \"\(text)\" is no address")) }
    }

    @Test(arguments: [
        ("0.0.0.0", "127.0.0.1:7"), ("::", "[::1]:7"), ("192.0.2.1", "192.0.2.1:7"), ("::1", "[::1]:7"),
        ("2001:db8::", "[2001:db8::]:7"),
    ]) func `a wildcard that the daemon listens on is loopback for the client`(bound: String, asked: String) {
        #expect(IPAddress(bound).flatMap { AdminAddress(of: .tcp($0, port: 7)) }?.text == asked)
    }

    @Test func `the command line comes before the environment and that before the file`() throws {
        try withFile(configuration("{address: \"127.0.0.1:3\"}")) { (path) throws in
            let environment = ["SLUICE_ADMIN": "127.0.0.1:2"]
            #expect(try find(address: "127.0.0.1:1", file: path, environment: environment).address.text == "127.0.0.1:1")
            #expect(try find(file: path, environment: environment).address.text == "127.0.0.1:2")
            #expect(try find(file: path).address.text == "127.0.0.1:3")
            #expect(try find(file: path, environment: ["SLUICE_ADMIN": ""]).address.text == "127.0.0.1:3")
        }
    }

    @Test func `the token of the file goes to the address of the file only`() throws {
        try withFile("in-the-file-0123456789\n") { (secret) throws in
            try withFile(configuration("{address: \"127.0.0.1:3\", token: \"file:\(secret)\"}")) { (path) throws in
                #expect(try find(file: path).token.bytes == Array("in-the-file-0123456789".utf8))
                #expect(try find(address: "127.0.0.1:1", file: path).token.isEmpty)
                #expect(try find(file: path, environment: ["SLUICE_ADMIN": "127.0.0.1:1"]).token.isEmpty)
                #expect(try find(file: path, environment: ["SLUICE_ADMIN_TOKEN": "e"]).token.bytes == Array("e".utf8))
            }
        }
    }

    @Test func `a token file is read without the space around the token`() throws {
        try withFile(" \t\ntoken-1\r\n\n") { (path) throws in
            #expect(try find(address: "[::1]:1", tokenFile: path).token.bytes == Array("token-1".utf8))
            let environment = ["SLUICE_ADMIN_TOKEN": "other"]
            #expect(try find(address: "[::1]:1", tokenFile: path, environment: environment).token.bytes == Array("token-1".utf8))
        }
    }

    @Test(arguments: ["", " \n", "two words", "a\nb", "a\u{7f}", "ü", "a\r\nX-Evil: 1"])
    func `what no header field can carry is no token`(content: String) throws {
        try withFile(content) { (path) throws in
            #expect(failure { try find(address: "[::1]:1", tokenFile: path) }.hasPrefix("\(path): "))
        }
    }

    @Test func `a token file that cannot be read or does not end is refused`() {
        #expect(
            failure { try find(address: "[::1]:1", tokenFile: "/nonexistent") }
                == "cannot read /nonexistent: No such file or directory")
        #expect(failure { try find(address: "[::1]:1", tokenFile: "/") }.contains("Is a directory"))
        #expect(failure { try find(address: "[::1]:1", tokenFile: "/dev/zero") }.contains("at most 16384 bytes"))
    }

    @Test func `a file that does not say whom to ask is an error that names the remedy`() throws {
        #expect(failure { try find() }.hasSuffix("name it with --admin or SLUICE_ADMIN"))
        try withFile("nonsense: 1\n") { (path) throws in
            let text = failure { try find(file: path) }
            #expect(text.contains("\(path):1:1: error: ") && text.hasSuffix("name it with --admin or SLUICE_ADMIN"))
        }
        try withFile(configuration("{enabled: false}")) { (path) throws in
            #expect(failure { try find(file: path) }.contains("switches the admin listener off"))
        }
        try withFile(configuration("{address: \"127.0.0.1:0\"}")) { (path) throws in
            #expect(failure { try find(file: path) }.contains("leaves the port of the admin listener to the system"))
        }
    }
}
