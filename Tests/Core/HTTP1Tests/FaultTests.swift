import HTTP1
import Testing

@Suite struct FaultTests {
    private let requestFaults: [RequestFault] =
        [
            .notARequest, .emptyLinesBeforeRequest, .invalidMethod, .malformedRequestLine, .invalidTarget, .targetTooLong,
            .unsupportedVersion, .missingHost, .duplicateHost, .duplicateField, .underscoreTwin,
            .unknownExpectation,
        ] + FieldFault.allCases.map { .fields($0) } + FramingFault.allCases.map { .framing($0) }

    private let responseFaults: [ResponseFault] =
        [.malformedStatusLine, .statusLineTooLong, .unsupportedVersion, .invalidStatus] + FieldFault.allCases.map { .fields($0) }
        + FramingFault.allCases.map { .framing($0) }

    @Test func `every fault has a word of its own in snake case, and a sentence`() {
        let words = [
            requestFaults.map { ("\($0.reason)", "\($0.message)") }, responseFaults.map { ("\($0.reason)", "\($0.message)") },
            ChunkFault.allCases.map { ("\($0.reason)", "\($0.message)") },
        ]
        for table in words {
            #expect(Set(table.map(\.0)).count == table.count)
            for (reason, message) in table {
                #expect(
                    !reason.isEmpty
                        && reason.utf8.allSatisfy { $0 == 0x5f || (0x61...0x7a).contains($0) || (0x30...0x39).contains($0) })
                #expect(message.hasSuffix(".") && message.utf8.allSatisfy { $0 >= 0x20 && $0 < 0x7f && $0 != 0x22 })
            }
        }
    }

    @Test func `a fault's status says what kind it is`() {
        let table: [(UInt16, [RequestFault])] = [
            (414, [.targetTooLong]), (505, [.unsupportedVersion]), (417, [.unknownExpectation]),
            (431, [.fields(.fieldTooLarge), .fields(.headersTooLarge), .fields(.tooManyFields)]),
        ]
        let special = table.flatMap(\.1)
        for (status, faults) in table {
            for fault in faults { #expect(fault.status == status) }
        }
        for fault in requestFaults where !special.contains(fault) { #expect(fault.status == 400, "\(fault.reason)") }
    }
}
