import Configuration
import ConfigurationFile
import Primitives

/// A file that holds a bearer token and nothing else but space around it.
enum TokenFile {
    /// A token is a line.
    static var bytesMax: Int { 16_384 }

    static func read(_ path: String) throws(AdminError) -> Secret {
        let file: FileReader.File
        do {
            file = try FileReader.read(path, maximum: bytesMax)
        } catch {
            throw AdminError(.configuration, "cannot read \(path): \(error.reason)")
        }
        return try checked(file.bytes, from: path)
    }

    /// - Throws: when what is left without the space around it is no token that a header field can carry (RFC 6750 §2.1).
    static func checked(_ bytes: [UInt8], from source: String) throws(AdminError) -> Secret {
        func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0d).contains(byte) }
        let token = Array(bytes.drop(while: isSpace).reversed().drop(while: isSpace).reversed())
        guard !token.isEmpty else { throw AdminError(.configuration, "\(source): there is no token in it") }
        guard token.allSatisfy({ $0 > 0x20 && $0 < 0x7f }) else {
            throw AdminError(.configuration, "\(source): a token is one line of visible ASCII characters without spaces")
        }
        return Secret(token)
    }
}
