/// Which names belong to secrets: parameters, fields, keys of a log line, environment variables. The one list of them.
///
/// A harmless value that is masked costs less than a secret that is not.
public enum SecretNames {
    /// What stands in the place of a secret.
    public static var mask: String { "***" }

    /// Whether the whole name, in any case, says that all that follows it is a secret.
    public static func isWhole(_ name: RawSpan) -> Bool {
        name.equals(ignoringCase: "authorization") || name.equals(ignoringCase: "proxy-authorization")
            || name.equals(ignoringCase: "cookie") || name.equals(ignoringCase: "set-cookie")
            || name.equals(ignoringCase: "x-api-key") || name.equals(ignoringCase: "token")
            || name.equals(ignoringCase: "access_token") || name.equals(ignoringCase: "password")
            || name.equals(ignoringCase: "secret")
    }

    public static func isWhole(_ name: String) -> Bool {
        var name = name
        return name.withUTF8 { isWhole(RawSpan(_unsafeElements: $0)) }
    }

    /// Whether a name, in any case, holds one of the words anywhere, or is one of those that are too short for that.
    public static func holdsWord(_ name: RawSpan) -> Bool {
        for i in 0..<name.byteCount where beginsWord(name.extracting(i..<name.byteCount)) { return true }
        return name.equals(ignoringCase: "pass") || name.equals(ignoringCase: "otp") || name.equals(ignoringCase: "sid")
    }

    public static func holdsWord(_ name: String) -> Bool {
        var name = name
        return name.withUTF8 { holdsWord(RawSpan(_unsafeElements: $0)) }
    }

    @inline(__always)
    private static func beginsWord(_ rest: RawSpan) -> Bool {
        switch rest[0] | 0x20 {
        case 0x61: begins(rest, "assertion") || beginsAuth(rest)
        case 0x62: begins(rest, "bearer")
        case 0x63: begins(rest, "code") || begins(rest, "cred") || begins(rest, "cookie")
        case 0x6a: begins(rest, "jwt")
        case 0x6b: begins(rest, "key")
        case 0x70: begins(rest, "passw") || begins(rest, "passphrase") || begins(rest, "pwd")
        case 0x73: begins(rest, "secret") || begins(rest, "sig") || begins(rest, "session") || begins(rest, "saml")
        case 0x74: begins(rest, "token")
        default: false
        }
    }

    /// Not an author, nor an authority.
    private static func beginsAuth(_ rest: RawSpan) -> Bool {
        guard begins(rest, "auth") else { return false }
        return !begins(rest, "author") || begins(rest, "authoriz") || begins(rest, "authoris")
    }

    private static func begins(_ text: RawSpan, _ word: StaticString) -> Bool {
        let n = word.utf8CodeUnitCount
        return text.byteCount >= n && text.extracting(0..<n).equals(ignoringCase: word)
    }
}
