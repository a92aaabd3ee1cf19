/// A way to be wrong that the model check must find.
enum Mutant: CaseIterable {
    /// The balancer does not ask for an instance's health.
    case balancerIgnoresHealth
    /// The balancer goes by what it knew of the instances a second ago.
    case balancerActsOnOldHealth
    /// Of checks that fail in a row only the first is told to the instance's health.
    case healthMissesChecks
    /// The balancer takes the first eligible instance, idle or not.
    case balancerPilesUp
    /// What the breaker rejects is sent all the same.
    case breakerIsNotAsked
    /// What a half-open breaker rejects is sent as a probe without a permit.
    case probesAreNotCounted
    /// The breaker is asked as if no time had passed since it opened.
    case breakerIsNeverTested
    /// A probe whose client left is not recorded, and has no timeout.
    case probesAreLostForEver
    /// A probe that found no instance is not recorded.
    case permitStaysWithoutInstance
    /// The load of an instance is not taken back when a client leaves.
    case loadOfAbortedRequestsStays
    /// The load of an instance is taken back twice when a try fails.
    case loadIsTakenBackTwice
    /// The end of a retry is not told to the budget.
    case retriesNeverEnd
    /// The budget is asked and not obeyed.
    case budgetIsNotObeyed

    /// The rule that it breaks.
    var breaks: World.Rule {
        switch self {
        case .balancerIgnoresHealth, .balancerActsOnOldHealth, .healthMissesChecks: .noRequestToFailed
        case .balancerPilesUp: .noneOverLimitWhileOneIdle
        case .breakerIsNotAsked, .probesAreNotCounted: .openSendsNothing
        case .breakerIsNeverTested, .probesAreLostForEver: .openIsTestedAgain
        case .permitStaysWithoutInstance, .loadOfAbortedRequestsStays, .loadIsTakenBackTwice, .retriesNeverEnd: .countsReturn
        case .budgetIsNotObeyed: .retriesWithinBudget
        }
    }
}
