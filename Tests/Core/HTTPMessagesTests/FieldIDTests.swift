import HTTPMessages
import Primitives
import Testing

@Suite struct FieldIDTests {
    private func id(_ name: [UInt8]) -> FieldID { FieldID(lowercasing: name.span.bytes) }
    private func id(_ name: String) -> FieldID { id(Array(name.utf8)) }
    private func twin(_ name: String) -> FieldID { FieldID(readingUnderscoresAsDashes: Array(name.utf8).span.bytes) }

    @Test func `every name is found in lower, upper and mixed case`() {
        for field in FieldID.allCases where field != .other {
            let name = "\(field.name)"
            let mixed = String(name.enumerated().map { $0.offset % 2 == 0 ? Character($0.element.uppercased()) : $0.element })
            #expect(id(name) == field && id(name.uppercased()) == field && id(mixed) == field, "\(name)")
        }
    }

    @Test func `no name with one byte changed, lost or added is found`() {
        for field in FieldID.allCases where field != .other {
            let name = Array("\(field.name)".utf8)
            for at in name.indices {
                for byte in UInt8.min...UInt8.max where ASCII.lowercased(byte) != name[at] {
                    var changed = name
                    changed[at] = byte
                    #expect(id(changed) == .other, "\(field.name) with \(byte) at \(at)")
                }
            }
            #expect(id(Array(name.dropLast())) == .other)
            #expect(id(name + [0x20]) == .other)
            #expect(id([0x20] + name) == .other)
        }
        #expect(id("") == .other)
        #expect(id(String(repeating: "x", count: 70_000)) == .other)
        #expect(id("\u{212a}eep-alive") == .other, "the Kelvin sign is no k")
    }

    @Test func `underscores are read as dashes, and nothing else is`() {
        for field in FieldID.allCases where field != .other {
            #expect(twin("\(field.name)".replacing("-", with: "_")) == field)
            #expect(twin("\(field.name)".uppercased()) == field)
        }
        #expect(twin("x_forwarded-FOR") == .xForwardedFor)
        #expect(twin("x_unknown") == .other)
        #expect(twin(String(repeating: "_", count: 70_000)) == .other)
        #expect(twin("") == .other)
    }

    @Test func `all ids fit in one word of bits`() {
        #expect(FieldID.allCases.count <= 64)
    }

    @Test func `framing, identity and forwarding are decisive, and descriptions are not`() {
        for field: FieldID in [.contentLength, .host, .xForwardedFor, .authorization, .xAuthSubject, .te, .via, .xRequestID] {
            #expect(field.isDecisive)
        }
        for field: FieldID in [.other, .accept, .userAgent, .referer, .server] { #expect(!field.isDecisive) }
    }
}
