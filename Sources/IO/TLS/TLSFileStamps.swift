import Glibc

/// The files that something was built from, as they were just before: tells whether to build it again.
public struct TLSFileStamps: Sendable {
    /// What tells one content of a path from another: a renamed file has another inode, a rewritten one another time or size.
    private struct Stamp: Equatable {
        var seconds: Int
        var nanoseconds: Int
        var size: Int
        var inode: UInt

        /// nil: there is nothing that could be read there.
        init?(_ path: String) {
            var status = stat()
            guard stat(path, &status) == 0 else { return nil }
            seconds = status.st_mtim.tv_sec
            nanoseconds = status.st_mtim.tv_nsec
            size = Int(status.st_size)
            inode = UInt(status.st_ino)
        }
    }

    public let paths: [String]
    private let stamps: [Stamp?]

    /// Looks at the files. Links are followed, so that one which is pointed elsewhere counts as changed.
    public init(_ paths: [String]) {
        self.paths = paths
        stamps = paths.map { Stamp($0) }
    }

    /// The files of several things, each once, as they were when it was built.
    public init(joining parts: [TLSFileStamps]) {
        var known: Set<String> = []
        let all = parts.flatMap { zip($0.paths, $0.stamps) }.filter { known.insert($0.0).inserted }
        paths = all.map(\.0)
        stamps = all.map(\.1)
    }

    /// Whether a file is another than before, was taken away, or came.
    public func haveChanged() -> Bool {
        zip(paths, stamps).contains { path, stamp in Stamp(path) != stamp }
    }
}
