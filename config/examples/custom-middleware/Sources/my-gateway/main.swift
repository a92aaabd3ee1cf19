import SluiceDaemon

run(middlewares: [tenantCheck, versionBridge])
