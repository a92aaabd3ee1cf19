/// What the control thread counts of services: checks and changes of state. Series by the same ids as those of the workers, so that
/// they live through a reload and go ten minutes after their names.
struct ServiceEventTables: ~Copyable {
    var checks = SeriesTable(width: 1)
    var breakers = SeriesTable(width: 1)
    var health = SeriesTable(width: 1)
    var ejections = SeriesTable(width: 1)

    /// Drops the series of names that are gone.
    mutating func retain(_ known: KnownLabels) {
        checks.retain { known.contains(SeriesKey.upstreamService($0), .service) }
        breakers.retain { SeriesKey.isKnownDuration($0, known) }
        health.retain { SeriesKey.isKnownUpstream($0, known) }
        ejections.retain { known.contains(SeriesKey.upstreamService($0), .service) }
    }

    var overflowed: UInt64 { checks.overflowed &+ breakers.overflowed &+ health.overflowed &+ ejections.overflowed }
}
