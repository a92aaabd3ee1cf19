/// One value of a configuration, as a file would write it.
struct ConfigurationLine {
    var path: String
    var text: String
    var isSecret = false

    /// What may be told of it.
    var shown: String? { isSecret ? nil : text }

    init(_ path: String, _ text: String, isSecret: Bool = false) {
        self.path = path
        self.text = text
        self.isSecret = isSecret
    }

    /// Calls `differ` for each path whose value is not the same in both, in the order of the new ones, then of those that are gone.
    /// A path that stands twice is compared in turn.
    static func pairs(
        _ old: [ConfigurationLine], _ new: [ConfigurationLine],
        _ differ: (_ path: String, _ from: ConfigurationLine?, _ to: ConfigurationLine?) -> Void
    ) {
        if old.count == new.count, zip(old, new).allSatisfy({ $0.path == $1.path }) {
            for (from, to) in zip(old, new) where from.text != to.text { differ(to.path, from, to) }
            return
        }
        var before: [String: [ConfigurationLine]] = [:]
        for line in old.reversed() { before[line.path, default: []].append(line) }
        for to in new {
            let from = before[to.path]?.popLast()
            if from?.text != to.text { differ(to.path, from, to) }
        }
        for from in old where before[from.path]?.isEmpty == false {
            guard let gone = before[from.path]?.popLast() else { continue }
            differ(gone.path, gone, nil)
        }
    }
}
