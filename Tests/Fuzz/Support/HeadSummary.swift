import HTTPMessages
import Primitives

/// All that a parser found out, in a form that can be compared.
public struct HeadSummary: Equatable {
    public var numbers: [UInt64] = []
    public var fields: [[UInt8]] = []
    /// The storage: the head as received.
    public var bytes: [UInt8]

    public init(_ head: borrowing RequestHead) {
        bytes = head.headers.storage.bytes.array()
        numbers = [
            UInt64(head.version.rawValue), UInt64(head.methodRange.lowerBound), UInt64(head.methodRange.upperBound),
            UInt64(head.targetRange.lowerBound), UInt64(head.targetRange.upperBound), head.wantsKeepAlive ? 1 : 0,
            head.expectsContinue ? 1 : 0, head.acceptsTrailers ? 1 : 0, UInt64(head.hostIndex ?? -1 & 0xffff),
            head.hasConnectionOptions ? 1 : 0, head.wantsUpgrade ? 1 : 0,
        ]
        append(head.framing)
        append(head.headers)
    }

    public init(_ head: borrowing ResponseHead) {
        bytes = head.headers.storage.bytes.array()
        numbers = [
            UInt64(head.version.rawValue), UInt64(head.status), UInt64(head.reason.lowerBound), UInt64(head.reason.upperBound),
            head.allowsReuse ? 1 : 0, head.hasConnectionOptions ? 1 : 0, head.declaredLength ?? .max,
        ]
        append(head.framing)
        append(head.headers)
    }

    private mutating func append(_ framing: BodyFraming) {
        switch framing {
        case .none: numbers.append(0)
        case .length(let length): numbers += [1, length]
        case .chunked: numbers.append(2)
        case .untilClose: numbers.append(3)
        }
    }

    private mutating func append(_ block: borrowing HeaderBlock) {
        for i in 0..<block.count where !block.fields[i].isRemoved {
            let name = block.name(i).array()
            let value = block.value(i).array()
            precondition(!name.isEmpty && name.allSatisfy(ASCII.isToken), "a field's name is no token")
            precondition(value.allSatisfy { $0 == 9 || ($0 >= 0x20 && $0 != 0x7f) }, "a field's value has a control byte")
            precondition(
                value.first != 0x20 && value.first != 9 && value.last != 0x20 && value.last != 9, "a value is not trimmed")
            fields.append(name)
            fields.append(value)
        }
    }
}
