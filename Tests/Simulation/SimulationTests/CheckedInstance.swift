/// One connection of the checks to a simulated instance.
final class CheckedInstance: Endpoint {
    unowned let world: World
    let instance: Int
    private(set) var link: Link!
    private var reader = MessageReader()
    private var isDeaf = false

    init(_ world: World, instance: Int, number: Int) {
        self.world = world
        self.instance = instance
        link = Link(world.network, self, name: "check \(number) of instance \(instance)")
        world.network.links.append(link)
    }

    var awaitsRequest: Bool { true }

    func opened(_ link: Link) {}

    func ended(_ link: Link, reset: Bool) {
        isDeaf = true
        link.forgetOperations()
        link.add(.close)
    }

    func fallSilent() { isDeaf = true }

    func received(_ bytes: [UInt8], _ link: Link) {
        guard !isDeaf else { return }
        reader.append(bytes)
        while true {
            switch reader.next() {
            case .head: reader.beginBody(.none)
            case .end: answer()
            case .needMore, .data: return
            case .fault(let text): return world.violation("\(link.name) got what is no request: \(text)")
            }
        }
    }

    private func answer() {
        let good = Array("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".utf8)
        switch world.condition(of: instance) {
        case .up: link.write(good)
        case .slow:
            link.add(.pause(world.network.upTo(900_000_000)))
            link.write(good)
        // Its checks may pass all the same.
        case .erring: link.write(world.network.oneIn(2) ? good : Array("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n".utf8))
        case .dead, .hanging, .cutOff: break
        }
    }
}
