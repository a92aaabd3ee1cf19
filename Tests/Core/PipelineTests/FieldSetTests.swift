import HTTPMessages
import Pipeline
import Testing

@Suite struct FieldSetTests {
    @Test func `every id has a bit of its own`() {
        #expect(FieldID.allCases.count <= 64)
        for a in FieldID.allCases {
            for b in FieldID.allCases { #expect(FieldSet(a).contains(b) == (a == b)) }
        }
    }

    @Test func `sets unite and intersect`() {
        let both: FieldSet = [.host, .via]
        #expect(both == FieldSet(.host) | FieldSet(.via))
        #expect(both & [.via, .te] == FieldSet(.via))
        #expect(both.intersects([.te, .host]))
        #expect(!both.intersects([.te]))
        #expect(FieldSet() == [])
    }
}
