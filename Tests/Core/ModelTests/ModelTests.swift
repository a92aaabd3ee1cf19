import Testing

@Suite struct ModelTests {
    @Test(arguments: [(true, 0, 8), (true, 1, 7), (true, 2, 7), (false, 0, 8)])
    func `no interleaving of events up to the bound breaks a rule`(hasChecks: Bool, unknown: Int, depth: Int) {
        let check = ModelCheck(from: World(hasChecks: hasChecks, unknown: unknown), depth: depth)
        print(
            "model: checks \(hasChecks ? "on" : "off"), \(unknown) of 3 instances unknown, \(depth) events deep:",
            "\(check.states) states, \(check.steps) steps")
        #expect(check.violation == nil, "\(String(describing: check.violation))")
        #expect(check.states > 10_000)
    }

    @Test(arguments: Mutant.allCases)
    func `each machine that does wrong is caught by the rule that it breaks`(mutant: Mutant) {
        var found: ModelCheck.Violation?
        for unknown in [0, 2] where found == nil {
            found = ModelCheck(from: World(hasChecks: true, unknown: unknown, mutant: mutant), depth: 8).violation
        }
        #expect(found?.rule == mutant.breaks, "\(mutant): \(found?.path ?? [])")
    }
}
