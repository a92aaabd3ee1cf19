import Primitives

/// Which query parameters and fields hold secrets, by their name: their values are never logged.
///
/// A name that holds one of the words anywhere, in any case, percent-encoded or not, counts: a harmless value that is masked
/// costs less than a secret that is not.
public enum SecretNames {
    /// Longer names are taken for secrets unread.
    private static var nameBytesMax: Int { 64 }

    /// Names that say it alone, wherever they stand: as keys of the daemon's log.
    static func isAlwaysSecret(_ name: String) -> Bool {
        switch name {
        case "authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key", "token", "access_token", "password",
            "secret":
            true
        default: false
        }
    }

    /// Whether what stands behind the name and a colon is a secret, in any case: fields of requests that carry credentials.
    static func isField(_ name: RawSpan) -> Bool {
        name.equals(ignoringCase: "authorization") || name.equals(ignoringCase: "proxy-authorization")
            || name.equals(ignoringCase: "cookie") || name.equals(ignoringCase: "set-cookie")
            || name.equals(ignoringCase: "x-api-key") || name.equals(ignoringCase: "password")
    }

    public static func matches(_ name: RawSpan) -> Bool { matches(name, AccessLogRules()) }

    /// - Parameter rules: may list more names.
    static func matches(_ name: RawSpan, _ rules: AccessLogRules) -> Bool {
        var decoded = InlineArray<64, UInt8>(repeating: 0)
        var count = 0
        var i = 0
        while i < name.byteCount {
            guard count < nameBytesMax else { return true }
            var c = name[i]
            i += 1
            if c == ASCII.percent, i + 1 < name.byteCount, let high = ASCII.hexValue(name[i]),
                let low = ASCII.hexValue(name[i + 1])
            {
                c = high << 4 | low
                i += 2
            }
            decoded[count] = ASCII.lowercased(c)
            count += 1
        }
        let decodedName = decoded.span.bytes.extracting(0..<count)
        return holdsWord(decodedName) || rules.redacts(decodedName)
    }

    private static func holdsWord(_ name: RawSpan) -> Bool {
        for i in 0..<name.byteCount {
            let rest = name.extracting(i..<name.byteCount)
            let found =
                switch name[i] {
                case 0x61: begins(rest, "authorization") || begins(rest, "assertion")
                case 0x63: begins(rest, "code") || begins(rest, "credential") || begins(rest, "cookie")
                case 0x6a: begins(rest, "jwt")
                case 0x6b: begins(rest, "key")
                case 0x70: begins(rest, "passw") || begins(rest, "passphrase") || begins(rest, "pwd")
                case 0x73: begins(rest, "secret") || begins(rest, "sig") || begins(rest, "session") || begins(rest, "saml")
                case 0x74: begins(rest, "token")
                default: false
                }
            if found { return true }
        }
        return name.equals("auth") || name.equals("pass") || name.equals("otp") || name.equals("sid")
    }

    private static func begins(_ text: RawSpan, _ word: StaticString) -> Bool {
        let n = word.utf8CodeUnitCount
        return text.byteCount >= n && text.extracting(0..<n).equals(word)
    }
}
