import Configuration
import ConfigurationFile
import Testing

struct ExampleTests {
    @Test(arguments: ["quickstart", "minimal", "example"])
    func `an example file loads without an error or a warning`(name: String) {
        let result = ConfigurationLoader.load(path: "\(repository)/config/\(name).yaml")
        #expect(lines(result) == [])
        #expect(result.configuration != nil)
    }
}
