import ConfigurationFile
import Glibc
@testable import HealthChecks
import Primitives
@testable import Proxy
import Reactor
import Upstream

/// Runs in which instances fail: their conditions, the checks that find out, and the transitions that come of it.
extension World {
    func condition(of instance: Int) -> Condition { conditions[instance] ?? .up }

    /// What the workers and the checks write down; read by `rules` as soon as a turn has ended.
    func openTransitions(_ first: GatewaySnapshot) {
        let beginning = TransitionLogBeginning(first)
        written(String(decoding: beginning.lines, as: UTF8.self))
        loggedServices = beginning.services
    }

    func transitions(of source: String) -> TransitionLog {
        TransitionLog(source: source, services: loggedServices, clock: { [network] in network.now }) { [unowned self] lines in
            written(String(decoding: lines.array(), as: UTF8.self))
        }
    }

    private func written(_ text: String) {
        rules.read(text)
        if keepsTransitions { transitionLines += text }
        if isTracing { for line in text.split(separator: "\n") { trace("\(line)") } }
        if let first = rules.violations.first { violation(first) }
    }

    func beginStorm(_ first: GatewaySnapshot) throws {
        let loop = try CheckLoop(mailbox: checkMailbox, seed: network.random.next(), calls: VirtualNetwork.calls) {
            [control, checkLog = CheckLogBox(log: transitions(of: "checks"))] event in
            checkLog.log.changed(event)
            checkLog.log.flush()
            control.changed(event)
        }
        checks = loop
        checkPoller = network.lastPoller
        watch(first)
        guard scenario.hasWeather else { return }
        let weather = Weather(drawnFrom: network, instances: 1...scenario.instanceCount, over: scenario.arrivalSpread)
        for change in weather.changes {
            network.after(change.at) { [unowned self] in become(change.instance, change.condition) }
        }
    }

    /// Only to be called by the thread that checks, which here is the only one.
    struct CheckLogBox: @unchecked Sendable {
        let log: TransitionLog
    }

    private func watch(_ snapshot: GatewaySnapshot) {
        checkMailbox.post(
            .watch(
                zip(snapshot.configuration.services, snapshot.services).map { configured, service in
                    WatchedService(
                        state: service.state, health: configured.health, check: configured.check,
                        instances: zip(service.instances, service.authorities).map { .init(state: $0, authority: $1) })
                }))
        network.signalMailbox(checkPoller)
    }

    func turnChecks() {
        guard let checks, !checks.isStopped else { return }
        network.isChecking = true
        checks.turn(timeout: 1_000)
        network.isChecking = false
    }

    func endChecks() {
        guard let checks else { return }
        checks.adopt([])
    }

    private func become(_ instance: Int, _ condition: Condition) {
        trace("instance \(instance) is \(condition)")
        conditions[instance] = condition
        guard condition == .dead || condition == .cutOff else { return }
        for link in network.openLinks {
            if let backend = link.endpoint as? SimulatedBackend, backend.instance == instance {
                backend.fallSilent()
            } else if let checked = link.endpoint as? CheckedInstance, checked.instance == instance {
                checked.fallSilent()
            } else {
                continue
            }
            link.forgetOperations()
            if condition == .dead { link.add(.reset) }
        }
    }

    /// A connection of the checks.
    func connectCheck(_ instance: Int) -> Result<Link, VirtualNetwork.ConnectError> {
        checkCount += 1
        let checked = CheckedInstance(self, instance: instance, number: checkCount)
        checkedInstances.append(checked)
        complete(checked.link, fails: condition(of: instance) == .dead, instance: instance) {}
        return .success(checked.link)
    }

    /// Lets a connection come about, or not, after a while.
    func complete(_ link: Link, fails: Bool, instance: Int, _ opened: @escaping () -> Void) {
        link.isConnecting = true
        guard condition(of: instance) != .cutOff else { return }
        network.after(scenario.connectDelay ?? network.upTo(network.pick([0, 100_000, 5_000_000]))) {
            guard !link.isClosed else { return }
            link.isConnecting = false
            if fails {
                link.endpointClosed = true
                link.refuse()
            } else {
                opened()
            }
            link.isReady = true
        }
    }

    /// Writes the transitions where the environment wants them: one file for each run.
    func keepTransitions(in folder: String) {
        guard let file = fopen("\(folder)/storm-\(seed).jsonl", "w") else { return }
        fputs(transitionLines, file)
        fclose(file)
    }
}
