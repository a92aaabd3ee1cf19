/// A place in a file; line and column count from 1, the column in characters. Line 0 is the file as a whole, or what is no file.
public struct Mark: Sendable, Hashable, Comparable, CustomStringConvertible {
    public var file: String
    public var line: Int
    public var column: Int

    public init(file: String, line: Int, column: Int) {
        self.file = file
        self.line = line
        self.column = column
    }

    /// A file that could not be read, so that there is no line to show.
    public init(file: String) { self.init(file: file, line: 0, column: 0) }

    /// A value that comes from an environment variable.
    public init(environment name: String) { self.init(file: "environment \(name)", line: 0, column: 0) }

    /// The variable that it names, where it is the mark of a value that comes from one.
    var environmentName: Substring? {
        let prefix = "environment "
        return line == 0 && file.hasPrefix(prefix) ? file.dropFirst(prefix.count) : nil
    }

    /// A file that stands here, as the process opens it: one without a leading slash is below the directory of the file that names it.
    func path(of named: String) -> String {
        guard !named.hasPrefix("/"), let slash = file.lastIndex(of: "/") else { return named }
        return file[...slash] + named
    }

    public static func < (a: Mark, b: Mark) -> Bool {
        (a.line, a.column) < (b.line, b.column)
    }

    public var description: String { line == 0 ? file : "\(file):\(line):\(column)" }
}
