import Glibc

/// Names of files that are compared.
enum FilePath {
    /// From the root on, without empty parts and `.`; `..` stays, since what it means depends on links. Empty stays empty.
    static func absolute(_ path: String) -> String {
        guard !path.isEmpty else { return path }
        var whole = path
        if !path.hasPrefix("/"), let directory = getcwd(nil, 0) {
            whole = String(cString: directory) + "/" + path
            free(directory)
        }
        return "/" + whole.split(separator: "/").filter { $0 != "." }.joined(separator: "/")
    }

    /// Whether both name one file, perhaps by a link.
    static func isSame(_ one: String, _ other: String) -> Bool {
        if absolute(one) == absolute(other) { return true }
        var first = stat()
        var second = stat()
        guard stat(one, &first) == 0, stat(other, &second) == 0 else { return false }
        return first.st_dev == second.st_dev && first.st_ino == second.st_ino
    }
}
