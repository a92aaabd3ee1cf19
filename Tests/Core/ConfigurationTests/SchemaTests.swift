@testable import Configuration
import ConfigurationFile
import Testing

struct SchemaTests {
    /// The paths of all keys, with `[]` for elements and `*` for keys that the author chooses.
    private func keys(_ shape: Shape, _ path: String) -> Set<String> {
        switch shape {
        case .scalar: return []
        case .list(let element, _, _): return keys(element, path + "[]")
        case .map(_, let element, _): return keys(element, path + ".*")
        case .either(let shapes): return shapes.reduce(into: []) { $0.formUnion(keys($1, path)) }
        case .object(let object):
            return object.keys.reduce(into: []) { result, key in
                result.insert(path + "." + key.name)
                result.formUnion(keys(key.shape, path + "." + key.name))
            }
        }
    }

    /// The paths of the keys that a file uses.
    private func used(_ node: Node, _ shape: Shape, _ path: String) -> Set<String> {
        switch (shape, node.content) {
        case (.list(let element, _, _), .sequence(let nodes)):
            return nodes.reduce(into: []) { $0.formUnion(used($1, element, path + "[]")) }
        case (.list(let element, true, _), _):
            return used(node, element, path + "[]")
        case (.map(_, let element, _), .mapping(let entries)):
            return entries.reduce(into: []) { $0.formUnion(used($1.value, element, path + ".*")) }
        case (.either(let shapes), _):
            return shapes.first { $0.accepts(node.content) }.map { used(node, $0, path) } ?? []
        case (.object(let object), .mapping(let entries)):
            return entries.reduce(into: []) { result, entry in
                guard let key = object.key(entry.key) else { return }
                result.insert(path + "." + entry.key)
                result.formUnion(used(entry.value, key.shape, path + "." + entry.key))
            }
        default: return []
        }
    }

    @Test func `the example uses every key of the schema`() throws {
        let (root, diagnostics) = YAMLReader.read(readFile("\(repository)/config/example.yaml"), file: "example.yaml")
        #expect(diagnostics.isEmpty)
        let known = keys(.object(Schema.root), "")
        let missing = known.subtracting(used(try #require(root), .object(Schema.root), ""))
        // `enabled`, and what a listener or a route takes over, are the same everywhere and shown where they matter.
        let shown = missing.filter {
            path in
            !path.hasSuffix(".enabled")
                && ![
                    ".listeners[].limits.", ".routes[].timeouts.", ".routes[].circuit_breaker.", ".routes[].fallback.",
                    ".services.*.maintenance.", ".admin.tls.", ".listeners[].tls.certificates[].client_auth.",
                ].contains { path.hasPrefix($0) }
        }
        #expect(shown.sorted() == [])
        #expect(known.count > 150)
    }

    @Test func `the committed JSON Schema is the one that the tables make`() {
        #expect(readText("\(repository)/config/sluice.schema.json") == JSONSchema.text)
    }

    @Test func `every default in the tables is a value that the key accepts`() {
        check(.object(Schema.root))
    }

    private func check(_ shape: Shape) {
        switch shape {
        case .scalar: break
        case .list(let element, _, _), .map(_, let element, _): check(element)
        case .either(let shapes): shapes.forEach(check)
        case .object(let object):
            for key in object.keys {
                check(key.shape)
                guard !key.defaultText.isEmpty, key.name != "via" || key.defaultText != "auto" else { continue }
                let (root, _) = YAMLReader.read(Array("v: \(key.defaultText)\n".utf8), file: "d")
                guard case .mapping(let entries)? = root?.content, let node = entries.first?.value else {
                    Issue.record("\(key.name): \(key.defaultText)")
                    continue
                }
                var validator = Validator(diagnostics: DiagnosticList(), source: NoSecrets())
                _ = validator.validate(node, as: key.shape, at: .root)
                #expect(validator.diagnostics.sorted() == [], "\(key.name)")
            }
        }
    }

    private struct NoSecrets: SecretSource {
        var environmentNames: [String] { [] }

        func environment(_ name: String) -> String? { nil }
        func file(_ path: String) -> Result<SecretFile, SecretFileFailure> { .failure(SecretFileFailure(reason: "none")) }
    }
}
