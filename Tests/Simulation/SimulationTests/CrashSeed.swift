import Glibc

/// The seed of the run under way, for a process that is dying of a trap.
nonisolated(unsafe) private var seed: UInt64 = 0
nonisolated(unsafe) private var earlier = sigaction()

/// Says which seed ran when the process traps; then the runtime's own handler has its turn.
func nameSeedOnCrash(_ current: UInt64) {
    let isFirst = seed == 0
    seed = current
    guard isFirst else { return }
    var action = sigaction()
    action.__sigaction_handler.sa_handler = { signal in
        var text: InlineArray<32, UInt8> = InlineArray(repeating: 0x20)
        var rest = seed
        for i in stride(from: 30, through: 0, by: -1) where rest > 0 {
            text[i] = UInt8(0x30 + rest % 10)
            rest /= 10
        }
        text[31] = 0x0a
        _ = "\ncrashed in seed".withCString { write(2, $0, 16) }
        text.span.bytes.withUnsafeBytes { _ = write(2, $0.baseAddress, 32) }
        sigaction(signal, &earlier, nil)
    }
    sigaction(SIGILL, &action, &earlier)
}
