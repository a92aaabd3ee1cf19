import Configuration
import ConfigurationFile
import Control
import FuzzSupport

/// Any bytes as a configuration file: a configuration or reasons against it, one line each, and what was accepted can be compiled
/// into route tables and chains, or is refused then.
@main
enum ConfigurationFuzzer {
    static func main() {
        fuzz { data, size in
            let result = ConfigurationLoader.load(bytes: input(data, size), name: "f", environment: ["SET": "1", "EMPTY": ""])
            requireLines(result.diagnostics)
            guard let configuration = result.configuration else {
                precondition(!result.errors.isEmpty, "refused without a reason")
                return 0
            }
            precondition(result.errors.isEmpty, "accepted with errors")
            requireLines(ConfigurationCheck.run(configuration, result.places))
            return 0
        }
    }
}

private func requireLines(_ diagnostics: [Diagnostic]) {
    for diagnostic in diagnostics {
        for scalar in diagnostic.description.unicodeScalars {
            precondition(scalar.value >= 0x20 && scalar.value != 0x7f, "a control character in a diagnostic")
        }
    }
}
