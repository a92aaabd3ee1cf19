/// Builds what a server consists of: reads the files, and finds which certificates serve which names together.
struct ServerAssembly {
    let chains: [CertificateChain]
    private(set) var contexts: [ServerContext] = []
    private(set) var names = ServerNames()
    private(set) var warnings: [TLSWarning] = []

    init(_ options: TLSServer.Options, at now: Int64) throws(TLSLoadError) {
        guard !options.certificates.isEmpty else { throw TLSLoadError("certificates", "at least one is needed") }
        var chains: [CertificateChain] = []
        for files in options.certificates {
            chains.append(try CertificateChain(certificateFile: files.certificateFile, keyFile: files.keyFile, at: now))
        }
        self.chains = chains
        warnings = chains.flatMap { $0.warnings }
        let staples = loadStaples(options)
        let policies = options.certificates.map { $0.clientAuth ?? options.clientAuth }
        let authorities = try loadAuthorities(policies, at: now)
        let hostNames = try namesOfChains(options)

        func makeContext(_ members: [Int]) throws(TLSLoadError) -> ServerContext {
            var clients: (auth: TLSClientAuth, authorities: TLSAuthorities)?
            if let auth = policies[members[0]], let known = authorities[auth] { clients = (auth, known) }
            return try ServerContext(
                chains: members.map { chains[$0] }, names: members.flatMap { hostNames[$0] },
                staples: members.compactMap { staples[$0] },
                clients: clients, options: options)
        }

        // Those for all other names: the first certificate, and those of other kinds of keys that serve whatever it serves.
        let served = Set(hostNames[0])
        let first = members(
            of: chains.indices.filter { i in
                i == 0
                    || served.isSubset(of: hostNames[i]) && served.isEmpty == hostNames[i].isEmpty && policies[i] == policies[0]
            })
        var known: [[Int]: Int] = [first: 0]
        contexts.append(try makeContext(first))
        var serving: [[UInt8]: [Int]] = [:]
        var order: [[UInt8]] = []
        for i in chains.indices {
            for name in Set(hostNames[i]) {
                if serving[name] == nil { order.append(name) }
                serving[name, default: []].append(i)
            }
        }
        for name in order {
            let all = serving[name] ?? []
            if let other = all.first(where: { policies[$0] != policies[all[0]] }) {
                throw TLSLoadError(
                    chains[other].certificateFile,
                    "it and \(chains[all[0]].certificateFile) are both for \(text(name)), and ask different things of clients' certificates"
                )
            }
            let members = members(of: all)
            if let index = known[members] {
                names.add(name, index)
            } else {
                known[members] = contexts.count
                names.add(name, contexts.count)
                contexts.append(try makeContext(members))
            }
        }
        let used = Set(known.keys.joined())
        for i in chains.indices where !used.contains(i) && !hostNames[i].isEmpty {
            warnings.append(
                TLSWarning(
                    chains[i].certificateFile, "it is never used: others before it have its names and the same kind of key"))
        }
    }

    /// The first certificate of each kind of key.
    private func members(of all: [Int]) -> [Int] {
        var members: [Int] = []
        for i in all where !members.contains(where: { chains[$0].facts.key == chains[i].facts.key }) { members.append(i) }
        return members
    }

    private mutating func loadStaples(_ options: TLSServer.Options) -> [Staple?] {
        var staples: [Staple?] = []
        for (files, chain) in zip(options.certificates, chains) {
            guard let file = files.ocspFile else {
                staples.append(nil)
                continue
            }
            let (staple, warning) = Staple.load(file, for: chain)
            staples.append(staple)
            if let warning { warnings.append(warning) }
        }
        return staples
    }

    private mutating func loadAuthorities(
        _ policies: [TLSClientAuth?], at now: Int64
    ) throws(TLSLoadError) -> [TLSClientAuth: TLSAuthorities] {
        var all: [TLSClientAuth: TLSAuthorities] = [:]
        for case let auth? in policies where all[auth] == nil {
            let authorities = try TLSAuthorities(file: auth.caFile, crlFile: auth.crlFile, at: now)
            warnings += authorities.warnings
            all[auth] = authorities
        }
        return all
    }

    private mutating func namesOfChains(_ options: TLSServer.Options) throws(TLSLoadError) -> [[[UInt8]]] {
        var all: [[[UInt8]]] = []
        for (files, chain) in zip(options.certificates, chains) {
            var own: [[UInt8]] = []
            for name in files.names {
                guard let canonical = ServerNames.canonical(Array(name.utf8)) else {
                    throw TLSLoadError(files.certificateFile, "\"\(name)\" is no host name that a client could ask for")
                }
                own.append(canonical)
            }
            if files.names.isEmpty { own = chain.hostNames }
            if own.isEmpty, options.certificates.count > 1 || options.strictSNI {
                warnings.append(
                    TLSWarning(files.certificateFile, "the certificate is for no host name, so no client can ask for it"))
            }
            all.append(own)
        }
        return all
    }

    private func text(_ name: [UInt8]) -> String { String(decoding: name, as: UTF8.self) }
}
