import HTTPMessages
import Primitives

/// Walks over the field lines of a head or a trailer section, up to 64 at a time, and reads each byte once.
///
/// It judges bytes from left to right, and no verdict depends on a byte behind the one that brings it about. So however a head
/// was cut into packets, the same bytes end in the same fault or the same lines.
///
/// The pointers are good for as long as the scanner lives: it is made and dropped inside one `withUnsafeBytes` and one temporary
/// allocation. `base` points to `count` readable bytes.
struct FieldScanner {
    enum Step {
        /// All places are taken; there may be more.
        case more
        /// The empty line was read; the offset behind it.
        case end(Int)
        /// More bytes are needed to go on.
        case partial
        case fault(FieldFault)
    }

    /// Lines per round: 1 KiB of stack each for them and for the fields made of them.
    static var room: Int { 64 }

    private let base: UnsafePointer<UInt8>
    private let count: Int
    private var section: ScannedSection
    private let lines: UnsafeMutableBufferPointer<ScannedLine>

    @inline(__always)
    init(
        _ base: UnsafePointer<UInt8>, count: Int, from position: Int, limits: Limits,
        lines: UnsafeMutableBufferPointer<ScannedLine>
    ) {
        self.base = base
        self.count = count
        self.lines = lines
        section = ScannedSection(
            from: position, sectionEnd: position + limits.headerBytes, lineBytes: limits.fieldBytes, lines: limits.fieldCount)
    }

    /// Reads on. The lines that it returns the number of are to be looked at before `step` is: they come first.
    @inline(__always)
    mutating func read() -> Int { Scan.lines(base, count, &section, into: lines) }

    /// Why `read` stopped.
    @inline(__always)
    var step: Step {
        switch section.reason {
        case .full: .more
        case .end: .end(section.position)
        case .partial: .partial
        case .name: .fault(nameFault)
        case .value: .fault(base[section.position] == ASCII.lf ? .bareLineFeed : .controlByte)
        case .lineEnd: .fault(.bareCarriageReturn)
        case .longLine: .fault(.fieldTooLarge)
        case .longSection: .fault(.headersTooLarge)
        case .manyLines: .fault(.tooManyFields)
        }
    }

    /// The name of a line that `read` returned; it lives as long as the bytes do.
    @inline(__always)
    func name(_ line: ScannedLine) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: base + Int(line.name), count: Int(line.name_count))
    }

    @inline(__always)
    func value(_ line: ScannedLine) -> UnsafeRawBufferPointer {
        UnsafeRawBufferPointer(start: base + Int(line.value), count: Int(line.value_count))
    }

    /// What the byte is that stands where a name or its colon should.
    private var nameFault: FieldFault {
        switch base[section.position] {
        case ASCII.lf: .bareLineFeed
        case ASCII.space, ASCII.tab: section.at_line_start != 0 ? .obsoleteFolding : .spaceBeforeColon
        case ASCII.colon: .emptyName
        case ASCII.cr: .missingColon
        default: .invalidName
        }
    }
}

extension Field {
    /// A line's field. The scanner keeps every number inside its type: a line has fewer than 2^16 bytes, a head fewer than 2^26.
    @inline(__always)
    init(_ line: ScannedLine, _ id: FieldID) {
        self.init(
            nameOffset: line.name, nameCount: line.name_count, valueOffset: line.value, valueCount: line.value_count, id: id)
    }
}
