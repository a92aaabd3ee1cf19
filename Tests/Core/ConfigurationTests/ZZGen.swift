import Configuration
import ConfigurationFile
import Testing
import Glibc
struct ZZGen {
    @Test func `gen`() {
        var i = 0
        while true {
            let n = String(repeating: "0", count: 3 - "\(i)".count) + "\(i)"
            let path = "/tmp/agent/config/gen/in/\(n).yaml"
            if access(path, R_OK) != 0 { break }
            let result = load(readText(path))
            let f = fopen("/tmp/agent/config/gen/in/\(n).out", "w")
            fputs(lines(result).joined(separator: "\n"), f)
            fclose(f)
            i += 1
        }
        let f = fopen("/tmp/agent/config/gen/schema.json", "w")
        fputs(JSONSchema.text, f)
        fclose(f)
    }
}
