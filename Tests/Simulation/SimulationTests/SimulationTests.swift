import Glibc
import Synchronization
import Testing

/// The gateway under virtual time, on a virtual network that does what networks do. Each test draws its worlds from seeds; a failure names the
/// seed, and `SLUICE_SIM_SEED=n` runs that one alone. `SLUICE_SIM_RUNS=n` sets how many there are.
@Suite(.serialized) struct SimulationTests {
    @Test func `no fault of client, backend or network breaks an invariant`() {
        if let text = environment("SLUICE_SIM_SEED"), let seed = UInt64(text) { return expectSound(seed) }
        let runs = environment("SLUICE_SIM_RUNS").flatMap { UInt64($0) } ?? 400
        let first = environment("SLUICE_SIM_FIRST").flatMap { UInt64($0) } ?? 1
        var failures = 0
        for seed in first..<first + runs where failures < 5 {
            let problems = problems(of: seed)
            if !problems.isEmpty {
                failures += 1
                Issue.record("seed \(seed): \(problems.prefix(4).joined(separator: "; "))")
            }
        }
    }

    private func problems(of seed: UInt64) -> [String] {
        nameSeedOnCrash(seed)
        return World(seed: seed).run()
    }

    private func expectSound(_ seed: UInt64) {
        let problems = problems(of: seed)
        #expect(problems.isEmpty, "seed \(seed): \(problems.prefix(4).joined(separator: "; "))")
    }

    private func environment(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }
}
