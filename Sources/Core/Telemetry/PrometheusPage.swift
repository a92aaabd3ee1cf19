import Primitives

/// A page in the making.
struct PrometheusPage: ~Copyable {
    var out = ByteBuffer(capacity: 32_768)
    let openMetrics: Bool
    /// Series with labels so far.
    private(set) var series: UInt64 = 0
    /// The labels of the row at hand.
    var labels: [UInt8] = []

    init(openMetrics: Bool) { self.openMetrics = openMetrics }

    // Rows and samples.

    mutating func eachRow(
        _ rows: SeriesRows, _ describe: (inout [UInt8], UInt64?) -> Void,
        _ body: (inout PrometheusPage, Int) -> Void
    ) {
        for (i, key) in rows.keys.enumerated() {
            labels.removeAll(keepingCapacity: true)
            describe(&labels, key)
            body(&self, (i + 1) * rows.width)
        }
        if rows.hasOverflow {
            labels.removeAll(keepingCapacity: true)
            describe(&labels, nil)
            body(&self, 0)
        }
    }

    mutating func counter(
        _ family: MetricFamily, _ rows: SeriesRows, _ describe: (inout [UInt8], UInt64?) -> Void
    ) {
        header(family)
        eachRow(rows, describe) { page, row in page.sample(family, rows.cells[row]) }
    }

    mutating func gauge(
        _ family: MetricFamily, _ rows: SeriesRows, at offset: Int, _ describe: (inout [UInt8], UInt64?) -> Void
    ) {
        header(family)
        eachRow(rows, describe) { page, row in page.sample(family, level: rows.cells[row + offset]) }
    }

    /// What was read at the scrape, one sample for each value; those over the limit are added up in the overflow series.
    /// - Parameter describe: appends the labels of the value of that index; those of the overflow series for nil.
    mutating func gauge(_ family: MetricFamily, _ values: [UInt64], _ describe: (inout [UInt8], Int?) -> Void) {
        header(family)
        let named = min(values.count, SeriesTable.seriesMax)
        for index in 0..<named {
            labels.removeAll(keepingCapacity: true)
            describe(&labels, index)
            sample(family, values[index])
        }
        guard named < values.count else { return }
        labels.removeAll(keepingCapacity: true)
        describe(&labels, nil)
        sample(family, values[named...].reduce(0, &+))
    }

    /// A sample for each state that something can be in: 1 for the one that it is in, 0 for the others. In the overflow series,
    /// how many are in that state.
    mutating func oneOf<State: Equatable>(
        _ family: MetricFamily, _ states: [State], _ all: [State], _ name: (State) -> StaticString,
        _ describe: (inout [UInt8], Int?) -> Void
    ) {
        header(family)
        let named = min(states.count, SeriesTable.seriesMax / max(1, all.count))
        for index in 0..<named {
            for state in all {
                labels.removeAll(keepingCapacity: true)
                describe(&labels, index)
                labels.add("state", "\(name(state))")
                sample(family, states[index] == state ? 1 : 0)
            }
        }
        guard named < states.count else { return }
        for state in all {
            labels.removeAll(keepingCapacity: true)
            describe(&labels, nil)
            labels.add("state", "\(name(state))")
            sample(family, UInt64(states[named...].count { $0 == state }))
        }
    }

    enum Unit { case seconds, bytes }

    /// A histogram that has counted nothing is left out.
    mutating func histogram(
        _ family: MetricFamily, _ rows: SeriesRows, at offset: Int, _ bounds: [UInt64], unit: Unit,
        _ describe: (inout [UInt8], UInt64?) -> Void
    ) {
        header(family)
        eachRow(rows, describe) { page, row in
            let start = row + offset
            var count: UInt64 = 0
            for k in 0...bounds.count { count &+= rows.cells[start + k] }
            guard count > 0 else { return }
            page.series += 1
            var cumulated: UInt64 = 0
            for (k, bound) in bounds.enumerated() {
                cumulated &+= rows.cells[start + k]
                page.name(family, "_bucket")
                page.out.append(ASCII.comma)
                page.out.append("le=\"")
                page.bound(bound, unit)
                page.out.append("\"} ")
                page.out.append(decimal: cumulated)
                page.out.append(ASCII.lf)
            }
            page.name(family, "_bucket")
            page.out.append(",le=\"+Inf\"} ")
            page.out.append(decimal: count)
            page.out.append(ASCII.lf)
            page.name(family, "_sum")
            page.out.append("} ")
            page.value(rows.cells[start + bounds.count + 1], unit)
            page.out.append(ASCII.lf)
            page.name(family, "_count")
            page.out.append("} ")
            page.out.append(decimal: count)
            page.out.append(ASCII.lf)
        }
    }

    /// The name and the labels up to where `le` or the closing brace goes.
    private mutating func name(_ family: MetricFamily, _ suffix: StaticString) {
        out.append(family.name)
        out.append(suffix)
        out.append(UInt8(0x7b))
        out.append(labels)
    }

    mutating func header(_ family: MetricFamily) {
        // OpenMetrics names a family of counters without the suffix of its samples, and wants each name once: where a gauge has
        // the name already, the counter stays under its full name, as a family of unknown type.
        let isUnknown = openMetrics && family.sharesName
        for word: StaticString in ["# HELP ", "# TYPE "] {
            out.append(word)
            out.append(family.name)
            if family.kind == .counter && (!openMetrics || isUnknown) { out.append("_total") }
            out.append(ASCII.space)
            let isHelp = word.utf8Start[2] == 0x48
            out.append(isHelp ? family.help : isUnknown ? "unknown" : family.kind.name)
            out.append(ASCII.lf)
        }
    }

    private mutating func begin(_ family: MetricFamily) {
        out.append(family.name)
        if family.kind == .counter { out.append("_total") }
        if !labels.isEmpty {
            series += 1
            out.append(UInt8(0x7b))
            out.append(labels)
            out.append(UInt8(0x7d))
        }
        out.append(ASCII.space)
    }

    mutating func sample(_ family: MetricFamily, _ value: UInt64) {
        begin(family)
        out.append(decimal: value)
        out.append(ASCII.lf)
    }

    /// A gauge that went up and down by wrapping addition. Below zero it stands when a name went and its last request ended
    /// after.
    mutating func sample(_ family: MetricFamily, level: UInt64) {
        sample(family, UInt64(max(0, Int64(bitPattern: level))))
    }

    mutating func sample(_ family: MetricFamily, nanoseconds: UInt64) {
        begin(family)
        seconds(nanoseconds)
        out.append(ASCII.lf)
    }

    mutating func single(_ family: MetricFamily, _ value: UInt64) {
        header(family)
        sample(family, value)
    }

    mutating func single(_ family: MetricFamily, nanoseconds: UInt64) {
        header(family)
        sample(family, nanoseconds: nanoseconds)
    }

    // Numbers.

    private mutating func value(_ number: UInt64, _ unit: Unit) {
        switch unit {
        case .seconds: seconds(number)
        case .bytes: out.append(decimal: number)
        }
    }

    /// OpenMetrics writes a bound as a float always.
    private mutating func bound(_ number: UInt64, _ unit: Unit) {
        value(number, unit)
        let isWhole =
            switch unit {
            case .seconds: number % 1_000_000_000 == 0
            case .bytes: true
            }
        if openMetrics && isWhole { out.append(".0") }
    }

    /// Exact, without trailing zeros.
    mutating func seconds(_ nanoseconds: UInt64) {
        out.append(decimal: nanoseconds / 1_000_000_000)
        var rest = nanoseconds % 1_000_000_000
        guard rest > 0 else { return }
        out.append(ASCII.dot)
        var unit: UInt64 = 100_000_000
        while rest > 0 {
            out.append(UInt8(truncatingIfNeeded: 48 + rest / unit))
            rest %= unit
            unit /= 10
        }
    }
}

extension [UInt8] {
    /// Appends `name="value"` with a comma before it unless it is the first; nil is the value of the overflow series.
    mutating func add(_ name: StaticString, _ value: String?) {
        if !isEmpty { append(ASCII.comma) }
        name.withUTF8Buffer { append(contentsOf: $0) }
        append(ASCII.equals)
        append(ASCII.quote)
        for byte in (value ?? PrometheusText.overflow).utf8 {
            switch byte {
            case ASCII.backslash: append(contentsOf: [ASCII.backslash, ASCII.backslash])
            case ASCII.quote: append(contentsOf: [ASCII.backslash, ASCII.quote])
            case ASCII.lf: append(contentsOf: [ASCII.backslash, 0x6e])
            default: append(byte)
            }
        }
        append(ASCII.quote)
    }
}
