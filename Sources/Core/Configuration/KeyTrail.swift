/// The way from the root of the file to a value, put into words only where a message needs it.
indirect enum KeyTrail: Sendable {
    case root
    case key(KeyTrail, String)
    case index(KeyTrail, Int)

    func appending(_ key: String) -> KeyTrail { .key(self, key) }
    func appending(_ index: Int) -> KeyTrail { .index(self, index) }

    /// `routes[3].match.path`
    var text: String {
        switch self {
        case .root: ""
        case .key(.root, let key): DisplayText.of(key)
        case .key(let parent, let key): "\(parent.text).\(DisplayText.of(key))"
        case .index(let parent, let index): "\(parent.text)[\(index)]"
        }
    }
}
