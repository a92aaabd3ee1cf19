import HTTPMessages
import Primitives

/// A part of a matched path, by its place.
public enum Capture: Hashable, Sendable {
    /// The segment with this index; the first is 0.
    case segment(Int)
    /// Everything behind that many segments and the slash after them; may be empty.
    case rest(after: Int)

    /// Where the part stands in the head's storage; empty when the path is shorter.
    public func range(in head: borrowing RequestHead) -> Range<Int> {
        switch self {
        case .segment(let index):
            let start = Capture.start(of: index, head)
            var end = start
            while end < head.path.upperBound, head.headers.storage[end] != ASCII.slash { end += 1 }
            return start..<end
        case .rest(let count): return Capture.start(of: count, head)..<head.path.upperBound
        }
    }

    private static func start(of index: Int, _ head: borrowing RequestHead) -> Int {
        var slashes = -1
        for i in head.path where head.headers.storage[i] == ASCII.slash {
            slashes += 1
            if slashes == index { return i + 1 }
        }
        return head.path.upperBound
    }
}
