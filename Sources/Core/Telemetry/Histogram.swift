/// Fixed buckets. A histogram takes `bounds.count + 2` cells of a row: one for each bucket, one for what is above the last
/// bound, and the sum. A value on a bound belongs to the bucket below it, as `le` says.
///
/// Bounds are compared from the lowest on: most values of a healthy gateway lie in the first buckets, where this is the cheapest
/// way.
enum Histogram {
    /// Nanoseconds; the bounds of request and upstream durations.
    static var latencyBounds: [UInt64] {
        [
            1_000_000, 2_500_000, 5_000_000, 10_000_000, 25_000_000, 50_000_000, 100_000_000, 250_000_000, 500_000_000,
            1_000_000_000, 2_500_000_000, 5_000_000_000, 10_000_000_000, 30_000_000_000,
        ]
    }
    static var latencyWidth: Int { 16 }

    @inline(__always)
    static func latencyBucket(_ nanoseconds: UInt64) -> Int {
        switch nanoseconds {
        case ...1_000_000: 0
        case ...2_500_000: 1
        case ...5_000_000: 2
        case ...10_000_000: 3
        case ...25_000_000: 4
        case ...50_000_000: 5
        case ...100_000_000: 6
        case ...250_000_000: 7
        case ...500_000_000: 8
        case ...1_000_000_000: 9
        case ...2_500_000_000: 10
        case ...5_000_000_000: 11
        case ...10_000_000_000: 12
        case ...30_000_000_000: 13
        default: 14
        }
    }

    /// Nanoseconds; what the gateway itself takes.
    static var overheadBounds: [UInt64] {
        [100_000, 250_000, 500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000, 25_000_000, 100_000_000]
    }
    static var overheadWidth: Int { 11 }

    @inline(__always)
    static func overheadBucket(_ nanoseconds: UInt64) -> Int {
        switch nanoseconds {
        case ...100_000: 0
        case ...250_000: 1
        case ...500_000: 2
        case ...1_000_000: 3
        case ...2_500_000: 4
        case ...5_000_000: 5
        case ...10_000_000: 6
        case ...25_000_000: 7
        case ...100_000_000: 8
        default: 9
        }
    }

    /// Nanoseconds; to connect, and to wait for a connection: both well below a millisecond when all is well, and given up
    /// after 2 s and 1 s unless configured otherwise.
    static var waitBounds: [UInt64] {
        [
            250_000, 500_000, 1_000_000, 2_500_000, 5_000_000, 10_000_000, 25_000_000, 50_000_000, 100_000_000, 250_000_000,
            500_000_000, 1_000_000_000, 2_000_000_000, 5_000_000_000,
        ]
    }
    static var waitWidth: Int { 16 }

    @inline(__always)
    static func waitBucket(_ nanoseconds: UInt64) -> Int {
        switch nanoseconds {
        case ...250_000: 0
        case ...500_000: 1
        case ...1_000_000: 2
        case ...2_500_000: 3
        case ...5_000_000: 4
        case ...10_000_000: 5
        case ...25_000_000: 6
        case ...50_000_000: 7
        case ...100_000_000: 8
        case ...250_000_000: 9
        case ...500_000_000: 10
        case ...1_000_000_000: 11
        case ...2_000_000_000: 12
        case ...5_000_000_000: 13
        default: 14
        }
    }

    /// Bytes.
    static var sizeBounds: [UInt64] { [100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000] }
    static var sizeWidth: Int { 9 }

    @inline(__always)
    static func sizeBucket(_ bytes: UInt64) -> Int {
        switch bytes {
        case ...100: 0
        case ...1_000: 1
        case ...10_000: 2
        case ...100_000: 3
        case ...1_000_000: 4
        case ...10_000_000: 5
        case ...100_000_000: 6
        default: 7
        }
    }
}
