/// What this build is called.
enum Version {
    static var number: String { "0.1.0" }
    static var line: String { "sluice \(number)" }
}
