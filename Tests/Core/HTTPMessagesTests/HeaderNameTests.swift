import HTTPMessages
import Primitives
import Testing

@Suite struct HeaderNameTests {
    @Test func `a field without an id is found by its name, in any case, unless it has been removed`() {
        var headers = HeaderBlock()
        #expect(headers.occurrence(of: "x-one") == .none)
        headers.add(named: "X-Two", value: "2")
        headers.add(named: "X-One", value: "1")
        headers.add(named: "x-ones", value: "3")
        #expect(headers.occurrence(of: "x-one") == .once(1))
        #expect(headers.firstIndex(named: "x-one") == 1)
        #expect(headers.firstIndex(named: "x-one", from: 2) == nil)
        headers.addComposed(named: "x-oNE") { $0.append(decimal: 77) }
        #expect(headers.occurrence(of: "x-one") == .repeated)
        #expect(headers.value(3).equals("77") == true)
        headers.remove(at: 1)
        #expect(headers.occurrence(of: "x-one") == .once(3))
    }
}
