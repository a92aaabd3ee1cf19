import Configuration
import ConfigurationFile
import Testing

struct DocumentTests {
    /// The YAML blocks of a document, each with the line in which it begins.
    private func blocks(_ text: String) -> [(line: Int, yaml: String)] {
        var result: [(Int, String)] = []
        var current: (Int, String)?
        for (i, line) in text.split(separator: "\n", omittingEmptySubsequences: false).enumerated() {
            if let block = current {
                if line == "```" {
                    result.append(block)
                    current = nil
                } else {
                    current = (block.0, block.1 + line + "\n")
                }
            } else if line == "```yaml" {
                current = (i + 1, "")
            }
        }
        return result
    }

    /// A block that says nothing of listeners, or of the services that it names, gets them here.
    private func completed(_ yaml: String) -> String {
        var text = yaml
        let lines = yaml.split(separator: "\n")
        if !lines.contains(where: { $0.hasPrefix("listeners:") || $0.hasPrefix("port:") }) {
            text += "listeners: [{name: web, address: \"127.0.0.1:0\"}]\n"
        }
        if !lines.contains(where: { $0.hasPrefix("services:") }) {
            text += "services: {users: {instances: [{url: \"http://127.0.0.1:8080\"}]}}\n"
        }
        if !lines.contains(where: { $0.hasPrefix("routes:") }) {
            text += "routes: [{name: all, match: {path: \"/*\"}, service: users}]\n"
        }
        return text
    }

    @Test func `every YAML block of the configuration guide loads without an error`() {
        let found = blocks(readText("\(repository)/docs/configuration.md"))
        #expect(found.count >= 10)
        for block in found {
            let result = load(completed(block.yaml), environment: ["PORT": "8000"])
            #expect(result.errors.map(\.description) == [], "docs/configuration.md:\(block.line)")
        }
    }
}
