import Configuration
import ConfigurationFile
import Glibc
import Primitives

/// The root of the repository.
let repository: String = {
    let parts = #filePath.split(separator: "/", omittingEmptySubsequences: false)
    return parts.dropLast(4).joined(separator: "/")
}()

func load(_ text: String, environment: [String: String] = [:]) -> LoadResult {
    ConfigurationLoader.load(text: text, name: "t.yaml", environment: environment)
}

/// A listener, and behind it what a test is about, which so begins in line 2.
func loadRest(_ text: String, environment: [String: String] = [:]) -> LoadResult {
    load("listeners: [{name: web, address: \"127.0.0.1:0\"}]\n" + text, environment: environment)
}

/// The diagnostics as a person reads them.
func lines(_ result: LoadResult) -> [String] { result.diagnostics.map(\.description) }

func readFile(_ path: String) -> [UInt8] {
    guard let file = fopen(path, "r") else { return [] }
    defer { fclose(file) }
    var bytes: [UInt8] = []
    var chunk = [UInt8](repeating: 0, count: 65536)
    while true {
        let count = fread(&chunk, 1, chunk.count, file)
        if count == 0 { return bytes }
        bytes += chunk[..<count]
    }
}

func readText(_ path: String) -> String { String(decoding: readFile(path), as: UTF8.self) }

/// A file of this content and mode, gone again after `body`.
func withFile<T>(_ content: String, mode: mode_t = 0o600, _ body: (String) throws -> T) rethrows -> T {
    var template = Array("/tmp/sluice-test-XXXXXX".utf8CString)
    let descriptor = mkstemp(&template)
    let path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    var text = content
    text.withUTF8 { _ = write(descriptor, $0.baseAddress, $0.count) }
    fchmod(descriptor, mode)
    close(descriptor)
    defer { unlink(path) }
    return try body(path)
}

/// The values in force by their paths, as the JSON form has them; the elements of a list with blanks between them.
func effective(_ result: LoadResult) -> [String: String] {
    guard let origin = result.origin, case .object(let top) = ConfigurationLoader.effective(origin).json(),
        let root = top.first(where: { $0.0 == "configuration" })?.1
    else { return [:] }
    var found: [String: String] = [:]
    collect(root, "", &found)
    return found
}

private func collect(_ value: JSONValue, _ path: String, _ found: inout [String: String]) {
    switch value {
    case .null: break
    case .string(let text): found[path] = text
    case .number(let number): found[path] = "\(number)"
    case .decimal(let number): found[path] = "\(number)"
    case .bool(let truth): found[path] = "\(truth)"
    case .object(let members):
        for (key, member) in members { collect(member, path.isEmpty ? key : "\(path).\(key)", &found) }
    case .array(let elements):
        for (i, element) in elements.enumerated() { collect(element, "\(path)[\(i)]", &found) }
        found[path] = elements.compactMap { if case .string(let text) = $0 { text } else { nil } }.joined(separator: " ")
    }
}

/// Where the values in force come from, by their paths.
func sources(_ result: LoadResult) -> [String: String] {
    guard let origin = result.origin, case .object(let top) = ConfigurationLoader.effective(origin).json(),
        case .object(let members)? = top.first(where: { $0.0 == "sources" })?.1
    else { return [:] }
    return members.reduce(into: [:]) { if case .string(let text) = $1.1 { $0[$1.0] = text } }
}
