/// A name that stands in logs and metrics: a listener, route, service or instance of the configuration.
///
/// The metrics go by `id`, which a name keeps from one configuration to the next, so that its counters go on; the access log goes
/// by `index`, the place in the configuration that the label was made for.
public struct Label: Hashable, Sendable {
    /// 0 is no name at all, 1 the name of what went over a limit; others are given out by `LabelRegistry`.
    let id: UInt32
    let index: UInt32

    /// Nothing of this kind took part: no route was found, no service was asked. An empty label value.
    public static var none: Label { Label(id: 0, index: .max) }
    /// The series `__overflow__`.
    static var overflow: Label { Label(id: 1, index: .max) }
    /// The first id that stands for a name.
    static var firstID: UInt32 { 2 }
}

/// The four kinds of names, and how many of each can be told apart in the life of a process. What comes after that is counted
/// under `__overflow__`.
enum LabelKind: Int, CaseIterable, Sendable {
    case listener, route, service, instance

    /// Bits of an id in a packed key (`SeriesKey`).
    var bits: UInt32 {
        switch self {
        case .listener: 8
        case .route: 20
        case .service: 16
        case .instance: 20
        }
    }

    var idMax: UInt32 { (1 << bits) - 1 }
}
