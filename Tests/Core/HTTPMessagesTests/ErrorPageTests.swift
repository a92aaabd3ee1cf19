import Foundation
import HTTPMessages
import Testing

/// docs/errors.md against the code.
@Suite struct ErrorPageTests {
    private func page() throws -> String {
        let root = URL(fileURLWithPath: #filePath).resolvingSymlinksInPath()
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        return try String(contentsOf: root.appendingPathComponent("docs/errors.md"), encoding: .utf8)
    }

    /// The cells of each table row, without the backticks.
    private func rows(_ page: String) -> [[String]] {
        page.split(separator: "\n").filter { $0.hasPrefix("|") }.map { line in
            line.split(separator: "|").map { $0.trimmingCharacters(in: CharacterSet(charactersIn: " `")) }
        }
    }

    @Test func `each refusal has a row with its status, code and reason`() throws {
        let rows = rows(try page())
        for refusal in Refusal.all {
            let wanted = ["\(refusal.status)", "\(refusal.code.name)", "\(refusal.reason.name)"]
            #expect(rows.contains { Array($0.prefix(3)) == wanted }, "\(wanted)")
        }
    }

    @Test func `every reason and every code is explained`() throws {
        let page = try page()
        for reason in Reason.allCases { #expect(page.contains("`\(reason.name)`"), "\(reason.name)") }
        for code in ErrorCode.allCases { #expect(page.contains("`\(code.name)`"), "\(code.name)") }
    }

    @Test func `the page names no code, reason or status that does not exist`() throws {
        let codes = Set(ErrorCode.allCases.map { "\($0.name)" })
        let reasons = Set(Reason.allCases.map { "\($0.name)" })
        let statuses = Set(Refusal.all.map { "\($0.status)" })
        for row in rows(try page()) where row.count == 5 && row[0].allSatisfy(\.isNumber) && !row[0].isEmpty {
            #expect(codes.contains(row[1]), "\(row)")
            #expect(reasons.contains(row[2]), "\(row)")
            #expect(statuses.contains(row[0]), "\(row)")
        }
    }
}
