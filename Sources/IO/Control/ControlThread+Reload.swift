import Admin
import Configuration
import ConfigurationFile
import Logs
import Primitives
import Proxy
import Reactor
import Telemetry

/// Reading the configuration again: nothing of it counts unless all of it is right, and the verdict is given once every worker serves under it.
extension ControlThread {
    func continueReload() {
        let now = Clock.monotonic
        switch reload.state {
        case .idle:
            if reload.isWanted, departure == .none { beginReload() }
        case .resolving(let candidate, _) where departure != .none:
            candidate.abandon()
            reload.state = .idle
            reload.callers += candidate.callers
        case .resolving(let candidate, let until):
            if resolver.hasFirstAnswers || now >= until { put(candidate) }
        case .adopting(_, let missing, let verdict, let callers, let until):
            guard missing.subtracting(drainedWorkers).isEmpty || now >= until else { return }
            reload.state = .idle
            conclude(verdict, callers)
        }
        if departure != .none, !reload.isRunning { turnAwayCallers() }
    }

    private func beginReload() {
        let callers = reload.callers
        reload.callers = []
        reload.isWanted = false
        let loaded = ConfigurationLoader.load(path: path)
        for warning in loaded.warnings { log.warn("configuration", ["diagnostic": .string("\(warning)")]) }
        guard let next = loaded.configuration else { return refuse(loaded.diagnostics, callers) }
        guard next != configuration || tls.isOutdated else {
            // Marks may have moved, and the values may come from elsewhere now.
            origin = loaded.origin
            accessLog?.reopen()
            log.reopen()
            return conclude(
                ReloadVerdict(result: .unchanged, generation: generation, warnings: loaded.warnings), callers)
        }
        do {
            var candidate = try prepare(next, loaded, callers)
            service.reloading()
            watchNames(next, &candidate.registry)
            reload.state = .resolving(candidate, until: Clock.monotonic + Reload.resolveWait)
            continueReload()
        } catch {
            // The names of what stays in force stay in use.
            _ = store.adopt(
                SnapshotBuilder.metricsNames(configuration), generation: UInt64(generation), at: Clock.monotonic)
            refuse(error.diagnostics + loaded.warnings, callers)
        }
    }

    private func prepare(
        _ next: GatewayConfiguration, _ loaded: LoadResult, _ callers: [AdminCaller]
    ) throws(BuildError) -> Reload.Candidate {
        let number = generation + 1
        // A copy: what is refused leaves nothing behind.
        var registry = registry
        let labels = store.adopt(SnapshotBuilder.metricsNames(next), generation: UInt64(number), at: Clock.monotonic)
        let snapshot = try SnapshotBuilder(
            number: number, configuration: next, places: loaded.places, generatedName: generatedName, version: version,
            seed: randomSeed(), tls: tls, middlewareTypes: middlewares
        ).build(&registry, labels: labels)
        let admin = try buildAdmin(next, loaded.places, number: number)
        let sockets: ListenerSet.Plan
        do {
            sockets = try listeners.plan(next, workers: hub.workerCount - 1)
        } catch {
            throw BuildError([error.diagnostic(in: loaded.places)])
        }
        var warnings = loaded.warnings
        if Self.workerCount(next) != hub.workerCount - 1 {
            let message = "takes effect after a restart or an upgrade; \(hub.workerCount - 1) workers serve until then"
            warnings.append(Diagnostic(.warning, mark: Mark(file: path), path: "server.workers", message: message))
            log.event(.warn, "server.workers takes effect after a restart", [:])
        }
        var candidate = Reload.Candidate(
            configuration: next, registry: registry, origin: loaded.origin, snapshot: snapshot, admin: admin, sockets: sockets,
            verdict: ReloadVerdict(
                result: .applied, generation: number, changes: ConfigurationChange.list(from: configuration, to: next),
                warnings: warnings),
            callers: callers)
        let place = loaded.places.accessLog
        do throws(StartError) {
            if next.accessLog.output != configuration.accessLog.output {
                candidate.movedLog = Reload.MovedLog(writer: try Self.openAccessLog(next))
            }
            if next.server.logOutput != configuration.server.logOutput { candidate.movedOwnLog = try Self.openLog(next) }
        } catch {
            candidate.abandon()
            throw BuildError([Diagnostic(.error, mark: place.mark, path: "", message: error.description)])
        }
        return candidate
    }

    /// The workers get it; from here on there is no way back.
    private func put(_ candidate: Reload.Candidate) {
        let next = candidate.configuration
        generation = candidate.verdict.generation
        limits.setLimit(Self.connectionLimit(next, descriptors: raiseDescriptorLimit()))
        let opened = candidate.sockets.opened
        listeners.commit(candidate.sockets)
        for note in candidate.sockets.notes { log.warn("handed over", ["note": .string(note)]) }
        for (index, sockets) in opened.enumerated() {
            hub.post(.adopt(index == opened.count - 1 ? candidate.admin : candidate.snapshot), to: index)
            hub.post(.listen(sockets), to: index)
            hub.post(.acknowledge(generation), to: index)
        }
        if let moved = candidate.movedLog { moveAccessLog(to: moved.writer) } else { accessLog?.reopen() }
        if let moved = candidate.movedOwnLog { log.move(to: moved) } else { log.reopen() }
        let oldFile = configuration.server.pidFile
        configuration = next
        origin = candidate.origin
        snapshot = candidate.snapshot
        registry = candidate.registry
        registry.adopt(next, at: Clock.monotonic)
        keepCertificates(candidate.snapshot, candidate.admin)
        forgetRemovedServices()
        watchHealth()
        log.setLevel(Self.level(next))
        if next.server.pidFile != oldFile {
            if let oldFile { ProcessIDFile.remove(oldFile) }
            writeProcessID()
        }
        reload.state = .adopting(
            number: generation, missing: runningWorkers, candidate.verdict, candidate.callers,
            until: Clock.monotonic + Reload.adoptWait)
    }

    private func refuse(_ diagnostics: [Diagnostic], _ callers: [AdminCaller]) {
        conclude(ReloadVerdict(result: .refused, generation: generation, problems: diagnostics), callers)
    }

    private func conclude(_ verdict: ReloadVerdict, _ callers: [AdminCaller]) {
        certificateReloads.ended(verdict.result != .refused)
        switch verdict.result {
        case .applied, .unchanged:
            store.configuration.reloadsSucceeded += 1
            store.configuration.lastReloadSucceeded = true
            store.configuration.generation = UInt64(generation)
            store.configuration.lastSuccess = Timestamp(nanoseconds: Int64(clamping: Clock.realtime))
            log.event(
                .info, "reloaded",
                [
                    "generation": .integer(Int64(generation)), "changed": .boolean(verdict.result == .applied),
                    "changes": .string(verdict.summary),
                ])
            service.ready(statusLine)
        case .refused:
            store.configuration.reloadsFailed += 1
            store.configuration.lastReloadSucceeded = false
            let errors = verdict.problems.filter { $0.severity == .error }
            for error in errors {
                log.event(.error, "reload failed", ["diagnostic": .string("\(error)"), "path": .string(path)])
            }
            service.ready("configuration refused: \(errors.first.map { "\($0)" } ?? "unreadable"); \(statusLine)")
        }
        let report = verdict.report
        for caller in callers {
            if verdict.result == .refused {
                caller.refuse(422, "INVALID_REQUEST", verdict.message, "configuration_refused", details: report)
            } else {
                caller.answer(report)
            }
        }
        if reload.isWanted, departure == .none { beginReload() }
    }

    /// Nothing is reloaded any more.
    private func turnAwayCallers() {
        let callers = reload.callers
        reload.callers = []
        for caller in callers { caller.refuse(503, "SERVICE_UNAVAILABLE", "the process is on its way out", "draining") }
    }
}
