import Primitives

/// The options that the configuration gives to a custom middleware: `custom: {type: NAME, options: {timeout: 250ms}}`.
///
/// Each reader takes a key and says what is wrong with its value. Without a `default` the key must be there. Which keys are read
/// is noted, so that one that nobody reads can be refused: read all of them, also those that another one makes pointless.
public final class MiddlewareOptions {
    private let values: [(key: String, text: String)]
    /// Keys whose values no message may quote.
    private let secrets: Set<String>
    private var read: [String] = []

    /// - Parameters:
    ///   - values: the keys and their scalars, as the file writes them but for quotes and variables.
    ///   - secrets: the keys whose values stand in the environment or in files of their own, and not in the configuration.
    public init(_ values: [(key: String, text: String)], secrets: Set<String> = []) {
        self.values = values
        self.secrets = secrets
    }

    /// Keys that the file gives and that no reader has asked for.
    public var unread: [String] { values.map(\.key).filter { !read.contains($0) } }

    /// What has been asked for, as the end of a sentence.
    var known: String { read.isEmpty ? "" : "; it has \(read.joined(separator: ", "))" }

    private func text(_ key: String) -> String? {
        if !read.contains(key) { read.append(key) }
        return values.first { $0.key == key }?.text
    }

    /// Text of at least one byte.
    public func string(_ key: String, default fallback: String? = nil) throws(MiddlewareOptionError) -> String {
        guard let given = text(key) else { return try required(key, fallback) }
        guard !given.isEmpty else { throw MiddlewareOptionError(key: key, problem: "must not be empty") }
        return given
    }

    /// Text where there may be none.
    public func optionalString(_ key: String) -> String? { text(key) }

    /// A whole number of `range`.
    public func int(
        _ key: String, in range: ClosedRange<Int> = Int.min...Int.max, default fallback: Int? = nil
    ) throws(MiddlewareOptionError) -> Int {
        guard let given = text(key) else { return try required(key, fallback) }
        guard let number = Int(given) else {
            throw MiddlewareOptionError(key: key, problem: "expected a whole number\(butNot(key, Self.shown(given)))")
        }
        guard range.contains(number) else {
            throw MiddlewareOptionError(
                key: key, problem: "must be between \(range.lowerBound) and \(range.upperBound)\(butNot(key, "\(number)"))")
        }
        return number
    }

    /// `true` or `false`.
    public func bool(_ key: String, default fallback: Bool? = nil) throws(MiddlewareOptionError) -> Bool {
        guard let given = text(key) else { return try required(key, fallback) }
        switch given {
        case "true": return true
        case "false": return false
        default:
            throw MiddlewareOptionError(key: key, problem: "expected true or false\(butNot(key, Self.shown(given)))")
        }
    }

    /// A span of time of `range`, written as elsewhere in the file: `250ms`, `5s`, `1m`, `1h`, `1d`; a bare number is seconds.
    public func duration(
        _ key: String, in range: ClosedRange<TimeAmount> = .zero ... .forever, default fallback: TimeAmount? = nil
    ) throws(MiddlewareOptionError) -> TimeAmount {
        guard let given = text(key) else { return try required(key, fallback) }
        guard let amount = Self.amount(given) else {
            throw MiddlewareOptionError(
                key: key, problem: "expected a duration such as 250ms, 5s or 1m\(butNot(key, Self.shown(given)))")
        }
        guard range.contains(amount) else {
            throw MiddlewareOptionError(
                key: key,
                problem: "must be between \(Self.written(range.lowerBound)) and \(Self.written(range.upperBound))"
                    + butNot(key, given))
        }
        return amount
    }

    private func required<T>(_ key: String, _ fallback: T?) throws(MiddlewareOptionError) -> T {
        guard let fallback else { throw MiddlewareOptionError(key: key, problem: "is missing") }
        return fallback
    }

    private static func amount(_ text: String) -> TimeAmount? {
        let digits = text.utf8.prefix(while: ASCII.isDigit)
        // Eighteen digits fit into 64 bits.
        guard (1...18).contains(digits.count), let number = UInt64(String(decoding: digits, as: UTF8.self)) else { return nil }
        let unit: UInt64? =
            switch text.dropFirst(digits.count) {
            case "ms": 1_000_000
            case "", "s": 1_000_000_000
            case "m": 60_000_000_000
            case "h": 3_600_000_000_000
            case "d": 86_400_000_000_000
            default: nil
            }
        guard let unit else { return nil }
        let (product, overflow) = number.multipliedReportingOverflow(by: unit)
        return TimeAmount(nanoseconds: overflow ? .max : product)
    }

    private static func written(_ amount: TimeAmount) -> String {
        if amount == .forever { return "any time" }
        let milliseconds = amount.nanoseconds / 1_000_000
        return milliseconds % 1000 == 0 ? "\(milliseconds / 1000)s" : "\(milliseconds)ms"
    }

    /// The end of a message: what was given instead, unless that is not for everybody's eyes.
    private func butNot(_ key: String, _ given: String) -> String { secrets.contains(key) ? "" : ", not \(given)" }

    /// Quoted, with at most 60 characters and without control characters.
    private static func shown(_ text: String) -> String {
        let visible = text.unicodeScalars.prefix(60).map { $0.value < 32 || $0.value == 127 ? "?" : String($0) }.joined()
        return "\"\(visible)\(text.unicodeScalars.count > 60 ? "…" : "")\""
    }
}

/// What is wrong with an option. A `make` may throw its own for what the readers cannot know.
public struct MiddlewareOptionError: Error, Equatable, CustomStringConvertible {
    public let key: String
    /// A sentence without a full stop.
    public let problem: String

    public init(key: String, problem: String) {
        self.key = key
        self.problem = problem
    }

    public var description: String { "options.\(key): \(problem)" }
}
