import COpenSSL

/// Why a server or a client could not be built: the file, what is wrong with it, and what to do.
public struct TLSLoadError: Error, CustomStringConvertible, Equatable {
    public var file: String
    public var problem: String

    public var description: String { "\(file): \(problem)" }

    init(_ file: String, _ problem: String) {
        self.file = file
        self.problem = problem
    }
}

/// Something that does not keep a server or a client from being built, and should be looked at.
public struct TLSWarning: Sendable, CustomStringConvertible, Hashable {
    public var file: String
    public var problem: String

    public var description: String { "\(file): \(problem)" }

    init(_ file: String, _ problem: String) {
        self.file = file
        self.problem = problem
    }
}

/// What OpenSSL says of the error that it met last, and forgets all of them.
func openSSLText() -> String {
    let code = ERR_peek_last_error()
    ERR_clear_error()
    return errorText(code) ?? "no reason is known"
}

func errorText(_ code: UInt) -> String? {
    guard code != 0 else { return nil }
    if let reason = ERR_reason_error_string(code) { return String(cString: reason) }
    return "error \(String(code, radix: 16))"
}
