import CFuzzer
import Glibc

/// Feeds `test` with libFuzzer's inputs until the command line's limits are reached. A trap or a failed `precondition` is a finding.
public func fuzz(_ test: @escaping @convention(c) (UnsafePointer<UInt8>?, Int) -> Int32) -> Never {
    var count = CommandLine.argc
    var arguments: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = CommandLine.unsafeArgv
    exit(LLVMFuzzerRunDriver(&count, &arguments, test))
}

/// The input as an array. Its memory is exact, so that the address sanitizer sees a read behind the end.
public func input(_ data: UnsafePointer<UInt8>?, _ size: Int) -> [UInt8] {
    Array(UnsafeBufferPointer(start: data, count: data == nil ? 0 : size))
}

/// Calls `body` with a copy of the first `count` bytes that ends where its memory does.
public func withPrefix<Result>(_ bytes: [UInt8], _ count: Int, _ body: (RawSpan) -> Result) -> Result {
    let copy = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: count)
    defer { copy.deallocate() }
    _ = copy.initialize(from: bytes[..<count])
    return body(RawSpan(_unsafeElements: UnsafeBufferPointer(copy)))
}

/// Where to cut an input: everywhere when it is short, else at places that depend on the bytes alone, so that a finding repeats.
public func cuts(_ bytes: [UInt8]) -> [Int] {
    guard bytes.count > 24 else { return Array(0..<bytes.count) }
    var state = digest(bytes)
    return (0..<4).map { _ in
        state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
        return Int(state >> 33) % bytes.count
    }.sorted()
}

/// FNV-1a.
public func digest(_ bytes: [UInt8]) -> UInt64 {
    bytes.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
}

/// Traps where a message would let one reader see another line than the next does: every LF behind a CR, every CR before an LF.
public func requireWholeLines(_ bytes: [UInt8]) {
    for (i, byte) in bytes.enumerated() {
        precondition(byte != 0, "a NUL was accepted")
        if byte == 10 { precondition(i > 0 && bytes[i - 1] == 13, "a bare LF was accepted") }
        if byte == 13 { precondition(i + 1 < bytes.count && bytes[i + 1] == 10, "a bare CR was accepted") }
    }
}
