import Configuration
import Testing

/// How a change is told in a line.
@Suite struct ChangeTextTests {
    @Test(arguments: [
        (ConfigurationChange(kind: .added, path: "routes.new"), "+ routes.new"),
        (ConfigurationChange(kind: .removed, path: "services.old"), "- services.old"),
        (
            ConfigurationChange(kind: .changed, path: "server.log_level", from: "info", to: "debug"),
            "~ server.log_level: info -> debug"
        ),
        (ConfigurationChange(kind: .changed, path: "admin.token"), "~ admin.token"),
        (ConfigurationChange(kind: .added, path: "limits.x", to: "5"), "+ limits.x: 5"),
        (ConfigurationChange(kind: .removed, path: "limits.x", from: "5"), "- limits.x: 5"),
    ]) func `a change is a sign, the path, and the values where they may be shown`(change: ConfigurationChange, line: String) {
        #expect("\(change)" == line)
    }
}
