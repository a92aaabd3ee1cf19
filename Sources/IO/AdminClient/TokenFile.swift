import Configuration
import Glibc
import Primitives

/// A file that holds a bearer token and nothing else but space around it.
enum TokenFile {
    /// A token is a line.
    static var bytesMax: Int { 16_384 }

    static func read(_ path: String) throws(AdminError) -> Secret {
        // Non-blocking, so that a FIFO without a writer cannot hold us.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
        guard descriptor >= 0 else { throw AdminError(.configuration, "cannot read \(path): \(SystemText.of(errno))") }
        defer { close(descriptor) }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 4096)
        while bytes.count <= bytesMax {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { throw AdminError(.configuration, "cannot read \(path): \(SystemText.of(errno))") }
            if count == 0 { return try checked(bytes, from: path) }
            bytes += chunk[..<count]
        }
        throw AdminError(.configuration, "\(path): a token has at most \(bytesMax) bytes")
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

enum SystemText {
    static func of(_ error: Int32) -> String { strerror(error).map { String(cString: $0) } ?? "error \(error)" }
}
