import Primitives

/// Words, names, paths and field values.
extension ScalarKind {
    /// Reads text in which `${…}` has been carried out. Secrets and values with variables are read by the validator, since they
    /// need more than the text.
    func read(_ text: String) -> ScalarReading {
        switch self {
        case .text(let maximum, let lines): readText(text, maximum, lines)
        case .name: ScalarKind.isName(text) ? .value(.text(text)) : unexpected(text)
        case .truth: readTruth(text)
        case .onlyTrue: text == "true" ? .value(.truth(true)) : unexpected(text)
        case .integer(let range): readInteger(text, range)
        case .countOrAuto(let range): text == "auto" ? .value(.automatic) : readInteger(text, range)
        case .word(let words): readWord(text, words)
        case .duration(let range, let off): readDuration(text, range, off: off)
        case .size(let range, let zeroIsUnlimited): readSize(text, range, zeroIsUnlimited: zeroIsUnlimited)
        case .ratio(let range, let step): readShare(text, range, step: step, isFactor: false)
        case .factor(let range): readShare(text, range, step: 1, isFactor: true)
        case .wordOrInteger(let words, let range): readWordOrInteger(text, words, range)
        case .rate: readRate(text)
        case .listenAddress: readListenAddress(text)
        case .instanceURL: readInstanceURL(text)
        case .addressBlock: readAddressBlock(text)
        case .hostPattern: readHostPattern(text)
        case .hostField: readHostField(text)
        case .pathPattern: PathSyntax.read(text, .pattern, expected: expected)
        case .path: PathSyntax.read(text, .literal, expected: expected)
        case .target: readTarget(text)
        case .rewritePath: PathSyntax.read(text, .rewrite, expected: expected)
        case .method: readMethod(text)
        case .token: ScalarKind.isToken(text, maximum: 128) ? .value(.text(text)) : unexpected(text)
        case .fieldName(let side): readFieldName(text, side)
        case .fixedFieldValue, .fieldValue, .location: readFieldValue(text)
        case .secret: text.isEmpty ? .problem("is empty") : .value(.secret(Secret(Array(text.utf8))))
        case .filePath(let words): readFilePath(text, words)
        case .url(let schemes): readURL(text, schemes)
        case .origin: readOrigin(text)
        case .hostName: readHostName(text)
        case .logOutput(let off): readLogOutput(text, off: off)
        case .file: readFile(text)
        case .upgrade: readUpgrade(text)
        case .certificateName: readCertificateName(text)
        case .fingerprint: readFingerprint(text)
        case .option: .value(.text(text))
        }
    }

    static func isName(_ text: String) -> Bool {
        (1...128).contains(text.utf8.count)
            && text.utf8.allSatisfy {
                ASCII.isLetter($0) || ASCII.isDigit($0) || $0 == ASCII.underscore || $0 == ASCII.dot || $0 == ASCII.dash
                    || $0 == ASCII.colon || $0 == ASCII.slash || $0 == 0x40
            }
    }

    static func isToken(_ text: String, maximum: Int) -> Bool {
        (1...maximum).contains(text.utf8.count) && text.utf8.allSatisfy(ASCII.isToken)
    }

    /// Whether a byte may stand in a field value (RFC 9110 §5.5).
    static func isFieldByte(_ c: UInt8) -> Bool { c >= 0x20 && c != 0x7f || c == ASCII.tab }

    private func readText(_ text: String, _ maximum: Int, _ lines: Bool) -> ScalarReading {
        guard text.utf8.count <= maximum else { return .problem("is longer than \(AmountText.of(bytes: maximum))") }
        if lines { return .value(.text(text)) }
        guard !text.isEmpty else { return .problem("is empty") }
        guard text.utf8.allSatisfy(ScalarKind.isFieldByte) else { return .problem("has a control character") }
        return .value(.text(text))
    }

    private func readTruth(_ text: String) -> ScalarReading {
        switch text {
        case "true", "True", "TRUE": .value(.truth(true))
        case "false", "False", "FALSE": .value(.truth(false))
        case "yes", "Yes", "on", "On", "1": .problem("expected \(expected), not \"\(text)\"", suggestion: "true")
        case "no", "No", "off", "Off", "0": .problem("expected \(expected), not \"\(text)\"", suggestion: "false")
        default: unexpected(text)
        }
    }

    private func readWord(_ text: String, _ words: [String]) -> ScalarReading {
        if words.contains(text) { return .value(.text(text)) }
        return .problem(
            "expected \(expected), not \"\(DisplayText.of(text))\"",
            suggestion: Suggestion.nearest(to: text, among: words))
    }

    private func readWordOrInteger(_ text: String, _ words: [String], _ range: ClosedRange<Int>) -> ScalarReading {
        if !words.contains(text), let number = ScalarKind.wholeNumber(text) {
            return range.contains(number) ? .value(.integer(number)) : unexpected(text)
        }
        return readWord(text, words)
    }

    private func readTarget(_ text: String) -> ScalarReading {
        let path = text.prefix { $0 != "?" }
        if case .problem(let message, let suggestion) = PathSyntax.read(String(path), .literal, expected: expected) {
            return .problem(message, suggestion: path.utf8.count == text.utf8.count ? suggestion : "")
        }
        guard text.utf8.count <= PathSyntax.maximum else {
            return .problem("is longer than \(AmountText.of(bytes: PathSyntax.maximum))")
        }
        guard text.utf8.allSatisfy({ $0 > 0x20 && $0 < 0x7f && $0 != 0x23 }) else {
            return .problem("has a blank, a # or a character beyond ASCII; write it percent-encoded")
        }
        return .value(.text(text))
    }

    private func readMethod(_ text: String) -> ScalarReading {
        guard ScalarKind.isToken(text, maximum: 32) else { return unexpected(text) }
        let upper = text.uppercased()
        let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
        if text != upper, known.contains(upper) {
            return .problem("methods are case-sensitive (RFC 9110 §9.1)", suggestion: upper)
        }
        if upper == "CONNECT" || upper == "TRACE" { return .problem("\(text) is never served") }
        return .value(.text(text))
    }

    private func readFieldName(_ text: String, _ side: MessageSide) -> ScalarReading {
        guard ScalarKind.isToken(text, maximum: 256) else {
            return .problem("\"\(DisplayText.of(text))\" is not a header name")
        }
        if let reason = OwnedFields.reason(text, side) { return .problem(reason) }
        return .value(.text(text))
    }

    private func readFieldValue(_ text: String) -> ScalarReading {
        guard text.utf8.count <= 8192 else { return .problem("is longer than 8KiB") }
        guard text.utf8.allSatisfy(ScalarKind.isFieldByte) else {
            return .problem("has a control character, which no header value can hold")
        }
        return .value(.text(text))
    }

    private func readFilePath(_ text: String, _ words: [String]) -> ScalarReading {
        if words.contains(text) { return .value(.text(text)) }
        guard text.hasPrefix("/"), text.utf8.count <= 4095, text.utf8.count > 1,
            text.utf8.allSatisfy({ $0 >= 0x20 && $0 != 0x7f })
        else {
            return .problem(
                "expected \(expected), not \"\(DisplayText.of(text))\"",
                suggestion: Suggestion.nearest(to: text, among: words))
        }
        return .value(.text(text))
    }
}
