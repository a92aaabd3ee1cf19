import HTTP1
import HTTPMessages
import Primitives
import Testing

@Suite struct TrailerParserTests {
    private func parse(_ section: String) -> (fault: FieldFault?, fields: [FieldText]) {
        var block = HeaderBlock()
        block.add(.other, name: bytes("before").span.bytes, value: bytes("1").span.bytes)
        let fault = TrailerParser.parse(bytes(section).span.bytes, limits: Limits(), into: &block)
        return (fault, fieldTexts(block))
    }

    private let before = FieldText(name: "before", value: "1")

    @Test func `permitted trailers are added in their order`() {
        let result = parse("Grpc-Status: 0\r\nX-Checksum:  abc \r\ngrpc-message:\r\n")
        #expect(result.fault == nil)
        #expect(
            result.fields == [
                before, FieldText(name: "Grpc-Status", value: "0"), FieldText(name: "X-Checksum", value: "abc"),
                FieldText(name: "grpc-message", value: ""),
            ])
        #expect(parse("").fields == [before])
    }

    @Test func `trailers that could decide anything are dropped`() {  // 13
        let families = [
            "content-md5", "Content-Range", "X-Auth-Groups", "X-User-Role", "X-Consumer-Name", "X-Client-Cert-CN",
            "X-Forwarded-User",
            "X_User_Role", "CONTENT_LENGTH", "Host", "transfer_encoding",
        ]
        for name in FieldID.allCases.filter({ $0 != .other }).map({ "\($0.name)" }) + families {
            for spelling in [name, name.uppercased(), name.replacing("-", with: "_")] {
                #expect(parse("\(spelling): x\r\n").fields == [before], "\(spelling)")
            }
        }
    }

    @Test func `a malformed trailer line is a fault and nothing is added`() {
        let table: [(String, FieldFault)] = [
            ("A: b\r\nNoColon\r\n", .missingColon), (": x\r\n", .emptyName), ("A: b\r\n c\r\n", .obsoleteFolding),
            ("A : b\r\n", .spaceBeforeColon), ("A(: b\r\n", .invalidName), ("\u{e9}: b\r\n", .invalidName),
            ((1...101).map { "A\($0): b\r\n" }.joined(), .tooManyFields),
        ]
        for (section, fault) in table {
            let result = parse(section)
            #expect(result.fault == fault, "\(section)")
            #expect(result.fields == [before], "\(section)")
        }
    }
}
