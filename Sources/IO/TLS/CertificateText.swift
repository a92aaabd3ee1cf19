import COpenSSL
import Primitives

/// What a certificate says, as text in which no byte of it can pretend to be another.
enum CertificateText {
    /// The subject, most significant part last (RFC 2253); bytes outside printable ASCII are escaped.
    static func subject(_ certificate: OpaquePointer) -> String {
        guard let bio = BIO_new(BIO_s_mem()) else { return "" }
        defer { BIO_free(bio) }
        guard copenssl_subject_print(bio, certificate) >= 0 else { return "" }
        var bytes: UnsafeMutablePointer<CChar>?
        let count = copenssl_written(bio, &bytes)
        return String(decoding: UnsafeRawBufferPointer(start: bytes, count: count), as: UTF8.self)
    }

    /// The alternative names, those of hosts in lower case, each behind its kind: `DNS:a.example`, `URI:spiffe://a/b`, `IP:192.0.2.1`, `email:a@b.example`.
    static func alternativeNames(_ certificate: OpaquePointer) -> [String] {
        AlternativeName.all(of: certificate).compactMap { name in
            switch name.kind {
            // Names of hosts are the same in either case (RFC 4343).
            case .dns: "DNS:\(escaped(name.bytes.map(ASCII.lowercased)))"
            case .uri: "URI:\(escaped(name.bytes))"
            case .email: "email:\(escaped(name.bytes))"
            case .address: address(name.bytes).map { "IP:\($0.text)" }
            }
        }
    }

    /// Lower-case hexadecimal digits.
    static func hexadecimal(_ bytes: some Sequence<UInt8>) -> String {
        var text = ""
        for byte in bytes { text += hexadecimal(byte) }
        return text
    }

    /// SHA-256 of the whole certificate.
    static func fingerprint(_ certificate: OpaquePointer) -> [UInt8] {
        var bytes = [UInt8](repeating: 0, count: 32)
        var count: UInt32 = 0
        guard X509_digest(certificate, EVP_sha256(), &bytes, &count) == 1, count == 32 else { return [] }
        return bytes
    }

    /// The whole certificate, DER.
    static func der(_ certificate: OpaquePointer) -> [UInt8] {
        let count = i2d_X509(certificate, nil)
        guard count > 0 else { return [] }
        return [UInt8](unsafeUninitializedCapacity: Int(count)) { buffer, initialised in
            var to = buffer.baseAddress
            initialised = max(0, Int(i2d_X509(certificate, &to)))
        }
    }

    static func address(_ bytes: [UInt8]) -> IPAddress? {
        func number(_ part: ArraySlice<UInt8>) -> UInt64 { part.reduce(0) { $0 << 8 | UInt64($1) } }
        switch bytes.count {
        case 4: return IPAddress(v4: UInt32(truncatingIfNeeded: number(bytes[...])))
        case 16: return IPAddress(high: number(bytes[..<8]), low: number(bytes[8...]))
        default: return nil
        }
    }

    /// Printable ASCII as it is, anything else and the backslash as `\xNN`: a NUL stays visible.
    private static func escaped(_ bytes: [UInt8]) -> String {
        var text = ""
        for byte in bytes {
            if byte > 0x20, byte < 0x7f, byte != ASCII.backslash {
                text.unicodeScalars.append(Unicode.Scalar(byte))
            } else {
                text += "\\x" + hexadecimal(byte)
            }
        }
        return text
    }

    private static func hexadecimal(_ byte: UInt8) -> String {
        (byte < 16 ? "0" : "") + String(byte, radix: 16)
    }
}

/// One of the names that a certificate is for (RFC 5280 §4.2.1.6).
struct AlternativeName {
    enum Kind {
        case dns, uri, email, address
    }

    var kind: Kind
    /// As they stand in the certificate: any byte may be among them.
    var bytes: [UInt8]

    /// Those of the kinds above, in the certificate's order; none where they cannot be read.
    static func all(of certificate: OpaquePointer) -> [AlternativeName] {
        guard let names = copenssl_names(certificate) else { return [] }
        defer { GENERAL_NAMES_free(names) }
        var all: [AlternativeName] = []
        for i in 0..<max(0, copenssl_names_count(names)) {
            var start: UnsafePointer<UInt8>?
            var count = 0
            let kind: Kind
            switch copenssl_name_at(names, i, &start, &count) {
            case GEN_DNS: kind = .dns
            case GEN_URI: kind = .uri
            case GEN_EMAIL: kind = .email
            case GEN_IPADD: kind = .address
            default: continue
            }
            all.append(AlternativeName(kind: kind, bytes: Array(UnsafeBufferPointer(start: start, count: count))))
        }
        return all
    }
}
