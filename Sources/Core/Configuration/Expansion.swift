import Primitives

/// Carries out `${…}` in a scalar.
///
/// `${NAME}` and `${NAME:-default}`, the name in upper case, are read from the environment when the file is loaded; what is read
/// is text and is not expanded again. `${name.part}`, in lower case, is a variable of the request and stands only where a
/// value is made for each request. `$$` is one dollar sign, and a dollar sign before anything else is itself.
struct Expansion {
    var pieces: [Piece] = []
    /// Empty when nothing is wrong.
    var problem = ""
    var suggestion = ""
    /// Whether a variable of the environment is named.
    var namesEnvironment = false
    /// Whether one has a value that stands in the result.
    var holdsEnvironment = false

    enum Piece: Equatable {
        case literal(String)
        case variable(HeaderVariable)
    }

    init(_ text: String, allowingVariables: Bool, environment: (String) -> String?) {
        guard text.utf8.contains(0x24) else {
            pieces = [.literal(text)]
            return
        }
        var literal: [UInt8] = []
        let bytes = Array(text.utf8)
        var i = 0
        while i < bytes.count {
            let next = i + 1 < bytes.count ? bytes[i + 1] : 0
            guard bytes[i] == 0x24, next == 0x24 || next == 0x7b else {
                literal.append(bytes[i])
                i += 1
                continue
            }
            guard next == 0x7b else {
                literal.append(0x24)
                i += 2
                continue
            }
            guard let end = bytes[i...].firstIndex(of: 0x7d) else {
                problem = "\"${\" has no \"}\"; a dollar sign itself is written $$"
                return
            }
            let inner = bytes[(i + 2)..<end]
            if Expansion.isEnvironmentName(inner.prefix { $0 != 0x3a }) {
                guard let value = read(inner, environment) else { return }
                literal += Array(value.utf8)
            } else if let variable = variable(String(decoding: inner, as: UTF8.self), allowingVariables) {
                if !literal.isEmpty { pieces.append(.literal(String(decoding: literal, as: UTF8.self))) }
                literal.removeAll()
                pieces.append(.variable(variable))
            } else {
                return
            }
            i = end + 1
        }
        if !literal.isEmpty || pieces.isEmpty { pieces.append(.literal(String(decoding: literal, as: UTF8.self))) }
    }

    /// The whole as text, where no variable was allowed.
    var text: String {
        if case .literal(let only)? = pieces.first, pieces.count == 1 { return only }
        return ""
    }

    private static func isEnvironmentName(_ name: ArraySlice<UInt8>) -> Bool {
        guard let first = name.first, ASCII.isUpper(first) || first == ASCII.underscore else { return false }
        return name.allSatisfy { ASCII.isUpper($0) || ASCII.isDigit($0) || $0 == ASCII.underscore }
    }

    /// `NAME` or `NAME:-default`; as in a shell, the default also stands in for a variable that is empty.
    private mutating func read(_ inner: ArraySlice<UInt8>, _ environment: (String) -> String?) -> String? {
        let nameBytes = inner.prefix { $0 != ASCII.colon }
        let name = String(decoding: nameBytes, as: UTF8.self)
        let rest = inner.dropFirst(nameBytes.count)
        let value = environment(name)
        namesEnvironment = true
        if value?.isEmpty == false { holdsEnvironment = true }
        if rest.isEmpty {
            if value == nil { problem = "the environment variable \(DisplayText.of(name)) is not set and has no default" }
            return value
        }
        guard rest.starts(with: [ASCII.colon, ASCII.dash]) else {
            problem = "\"${\(DisplayText.of(name))\" must be followed by \"}\" or \":-default}\""
            return nil
        }
        if let value, !value.isEmpty { return value }
        return String(decoding: rest.dropFirst(2), as: UTF8.self)
    }

    private mutating func variable(_ name: String, _ allowed: Bool) -> HeaderVariable? {
        if let variable = HeaderVariable(rawValue: name) {
            if allowed { return variable }
            problem = "the request variable ${\(name)} can stand only in header values and redirect targets"
            return nil
        }
        problem = "\"${\(DisplayText.of(name))}\" is neither an environment variable (upper case) nor a request variable"
        suggestion = Suggestion.nearest(to: name, among: HeaderVariable.allCases.map(\.rawValue))
        if !suggestion.isEmpty { suggestion = "${\(suggestion)}" }
        return nil
    }
}
