import CLinux
import Glibc

/// Sends one message to the service manager's socket (sd_notify(3)).
/// - Returns: 0, or the error number.
public func notifyServiceManager(socket: String, _ message: String) -> Int {
    let bytes = Array(message.utf8)
    let result = bytes.withUnsafeBytes { clinux_notify(socket, $0.baseAddress, $0.count) }
    return Int(-result)
}

/// The variables of the process's environment; where one stands twice, the first counts, as for getenv(3).
public func processEnvironment() -> [String: String] {
    var variables: [String: String] = [:]
    eachVariable { name, text in
        let key = String(decoding: name, as: UTF8.self)
        if variables[key] == nil { variables[key] = String(cString: text + name.count + 1) }
    }
    return variables
}

/// Calls `body` with each variable's name and its whole text, `NAME=value`.
private func eachVariable(_ body: (UnsafeBufferPointer<UInt8>, UnsafePointer<CChar>) -> Void) {
    guard var next = clinux_environment() else { return }
    while let text = next.pointee {
        let length = strcspn(text, "=")
        text.withMemoryRebound(to: UInt8.self, capacity: length) { bytes in
            if text[length] != 0 { body(UnsafeBufferPointer(start: bytes, count: length), text) }
        }
        next += 1
    }
}

/// Reads what another process writes, once; never blocks.
public struct PipeReader: Sendable {
    public let descriptor: Int32

    public init(descriptor: Int32) { self.descriptor = descriptor }

    public enum Reading: Equatable, Sendable {
        case nothingYet
        case bytes(Int)
        /// The other side has closed its end.
        case closed
    }

    public func read() -> Reading {
        var bytes = (UInt64(0), UInt64(0))
        let n = Glibc.read(descriptor, &bytes, MemoryLayout.size(ofValue: bytes))
        if n > 0 { return .bytes(n) }
        return n == 0 || errno != EAGAIN && errno != EINTR ? .closed : .nothingYet
    }

    public func close() { closeDescriptor(descriptor) }
}

/// A process that is started with descriptors of ours.
public struct Successor: Sendable {
    public let processID: Int32

    /// Starts a program with the arguments and the environment of this process, byte for byte but for what is said here.
    ///
    /// - Parameters:
    ///   - processIDVariables: environment variables that get the new process's id, which nobody knows before.
    ///   - descriptors: become 3, 4, … there; all others of ours are closed.
    /// - Throws: the error number. A program that cannot be executed is no error here; it ends with status 127.
    public static func start(
        path: String, leavingOut: Set<String>, adding: [(name: String, value: String)], processIDVariables: [String],
        descriptors: [Int32]
    ) throws(PollerError) -> Successor {
        var variables = adding.map { strdup("\($0.name)=\($0.value)") }
        eachVariable { name, text in
            if !leavingOut.contains(String(decoding: name, as: UTF8.self)) { variables.append(strdup(text)) }
        }
        var places: [UnsafeMutablePointer<CChar>?] = []
        for name in processIDVariables {
            // Room for the digits, which the new process writes itself.
            guard let text = strdup("\(name)=" + String(repeating: " ", count: 20)) else { continue }
            variables.append(text)
            places.append(text + name.utf8.count + 1)
        }
        var words = (0..<Int(CommandLine.argc)).map { CommandLine.unsafeArgv[$0].map { strdup($0) } ?? nil }
        defer { for text in variables + words { free(text) } }
        variables.append(nil)
        words.append(nil)
        var scratch = [Int32](repeating: 0, count: max(1, descriptors.count))
        let started = path.withCString { path in
            words.withUnsafeBufferPointer { words in
                variables.withUnsafeBufferPointer { variables in
                    places.withUnsafeBufferPointer { places in
                        descriptors.withUnsafeBufferPointer { descriptors in
                            scratch.withUnsafeMutableBufferPointer { scratch in
                                var program = clinux_program(
                                    path: path, arguments: words.baseAddress, environment: variables.baseAddress,
                                    process_ids: places.baseAddress, process_id_count: Int32(places.count),
                                    descriptors: descriptors.baseAddress, descriptor_count: Int32(descriptors.count),
                                    scratch: scratch.baseAddress)
                                return clinux_start(&program)
                            }
                        }
                    }
                }
            }
        }
        guard started > 0 else { throw PollerError(error: Int(-started)) }
        return Successor(processID: started)
    }

    /// How it ended, in words; nil while it runs.
    public func ending() -> String? {
        var status: Int32 = 0
        let result = clinux_child_status(processID, &status)
        guard result != 0 else { return nil }
        guard result > 0 else { return "nothing is known of it any more" }
        let signal = status & 0x7f
        if signal != 0 { return "it was killed by signal \(signal)" }
        let code = status >> 8 & 0xff
        return code == 127 ? "it cannot be executed" : "it ended with status \(code)"
    }

    /// Ends it and waits for its end.
    public func kill() {
        _ = Glibc.kill(processID, SIGKILL)
        clinux_await_child(processID)
    }
}

/// Keeps the signals that a daemon understands pending until it reads them; to be called first of all.
public func holdSignals() { clinux_hold_signals() }

/// Gives memory that is free back to the kernel; takes milliseconds where there is much.
public func trimMemory() { clinux_trim_memory() }

/// Both ends of a pipe; ours is the first, and does not block.
public func makePipe() throws(PollerError) -> (reader: PipeReader, writer: Int32) {
    var ends: [Int32] = [-1, -1]
    let result = clinux_pipe(&ends)
    guard result == 0 else { throw PollerError(error: Int(-result)) }
    return (PipeReader(descriptor: ends[0]), ends[1])
}

/// A descriptor that came with the start of the process is not handed on by accident.
public func setCloseOnExec(_ descriptor: Int32) { _ = clinux_close_on_exec(descriptor) }
