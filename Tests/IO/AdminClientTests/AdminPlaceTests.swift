import AdminClient
import Configuration
import Primitives
import Testing

/// Whom the command line asks, and what it shows.
@Suite struct AdminPlaceTests {
    private func find(
        address: String = "", tokenFile: String = "", file: String = "/nonexistent.yaml", environment: [String: String] = [:]
    ) throws(AdminError) -> AdminPlace {
        try AdminPlace.find(
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
        #expect(failure { try find(address: "[::1]:1", tokenFile: "/dev/zero") }.contains("Not a regular file"))
    }

    @Test func `a file with mistakes elsewhere still says whom to ask and what to show`() throws {
        let texts = [
            "nonsense: 1\nadmin: {address: \"127.0.0.1:3\", token: a-token-0123456789}\n",
            "admin: {address: \"127.0.0.1:3\", token: a-token-0123456789, nonsense: 1}\nlisteners: [{address: \"${UNSET_HERE}\"}]\n",
            "admin:\n  address: 127.0.0.1:3\n  token: a-token-0123456789\nlisteners:\n  - name: web\n   address: 1\n",
            "admin: {address: \"127.0.0.1:3\", token: a-token-0123456789}\nroutes: [{{{{\n",
            "admin: {token: \"${UNSET_HERE}\", address: \"127.0.0.1:3\"}\n",
        ]
        for (index, text) in texts.enumerated() {
            try withFile(text) { (path) throws in
                let place = try find(file: path)
                #expect(place.address.text == "127.0.0.1:3" && place.source == .file)
                let hasToken = index != 4
                #expect(place.token.bytes == (hasToken ? Array("a-token-0123456789".utf8) : []))
                #expect(place.isOfFile == hasToken && place.tokenProblems.isEmpty == hasToken)
            }
        }
        try withFile("nonsense: 1\n") { (path) throws in #expect(try find(file: path).address.text == "127.0.0.1:9901") }
    }

    @Test func `what a file leaves out behind a fault in its text is not taken to be the default`() throws {
        for text in [
            "{{{{", "", "listeners: [{{{{\n", "admin: {token: x, {{\n", "x: *nobody\nadmin: {address: \"127.0.0.1:3\"}\n",
        ] {
            try withFile(text) { (path) throws in
                let text = failure { try find(file: path) }
                #expect(text.contains("\(path):1:") && text.hasSuffix("name it with --admin or SLUICE_ADMIN"))
            }
        }
    }

    @Test func `a token that no header field can carry is not sent and its problem is kept`() throws {
        try withFile("in the file\nX-Evil: 1") { (secret) throws in
            try withFile(configuration("{address: \"127.0.0.1:3\", token: \"file:\(secret)\"}")) { (path) throws in
                let place = try find(file: path)
                #expect(place.token.isEmpty && !place.isOfFile && place.tokenProblems.count == 1)
            }
        }
        try withFile(configuration("{address: \"127.0.0.1:3\", token: \"file:/nonexistent\"}")) { (path) throws in
            #expect(try find(file: path).tokenProblems.first?.contains("cannot read /nonexistent") == true)
            #expect(try find(file: path, environment: ["SLUICE_ADMIN_TOKEN": "e"]).tokenProblems.isEmpty)
        }
    }

    @Test func `an address that cannot be found out is an error that names the remedy`() throws {
        #expect(failure { try find() }.hasSuffix("name it with --admin or SLUICE_ADMIN"))
        for address in ["\"${UNSET_HERE}\"", "nowhere", "[1]", "", "~"] {
            try withFile("admin:\n  address: \(address)\n") { (path) throws in
                let text = failure { try find(file: path) }
                #expect(text.contains("\(path):2:") && text.contains("admin.address: "), "\(text)")
                #expect(text.hasSuffix("name it with --admin or SLUICE_ADMIN"))
            }
        }
        try withFile("admin: nowhere\n") { (path) throws in #expect(failure { try find(file: path) }.contains("\(path):1:8")) }
        try withFile(configuration("{enabled: false}")) { (path) throws in
            #expect(failure { try find(file: path) }.contains("switches the admin listener off"))
        }
        try withFile(configuration("{address: \"127.0.0.1:0\"}")) { (path) throws in
            #expect(failure { try find(file: path) }.contains("leaves the port of the admin listener to the system"))
        }
    }
}
