import Reactor
extension Worker {
    func streamTakes(_ slot: Int) -> Bool { true }
    func backendStreamTakes(_ slot: Int) -> Bool { true }
    func writeToBackendStream(_ slot: Int, _ first: UnsafeRawBufferPointer, _ second: UnsafeRawBufferPointer) -> Reactor.Sent { .all }
    func writeInterimToStream(_ slot: Int) {}
}
