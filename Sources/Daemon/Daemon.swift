@_exported import HTTPMessages
@_exported import Pipeline
@_exported import Primitives

/// Does what the process's arguments say, and ends the process: the whole of `sluice`, with middlewares of your own.
///
///     import SluiceDaemon
///
///     run(middlewares: [tenantCheck, rewriting])
///
/// Every command knows the middlewares: what `run` serves is what `check` accepts. docs/middleware.md tells how to write one.
public func run(middlewares: [MiddlewareType] = []) -> Never {
    CommandLineRun(middlewares: middlewares).runAndExit()
}
