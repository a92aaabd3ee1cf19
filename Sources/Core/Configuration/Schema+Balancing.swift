import Balancing
import Health
import Primitives

/// The tables of keys: how an instance is chosen.
extension Schema {
    static var algorithms: [(name: String, algorithm: Balancer.Algorithm)] {
        [
            ("round_robin", .roundRobin), ("weighted", .roundRobin), ("least_conn", .leastConnections), ("ip_hash", .addressHash),
            ("p2c_ewma", .peakEWMA), ("consistent_hash", .consistentHash), ("random", .random),
        ]
    }

    static var sameSites: [(name: String, value: StickyConfiguration.SameSite)] {
        [("lax", .lax), ("strict", .strict), ("none", .none)]
    }

    static var loadBalancer: ObjectShape {
        ObjectShape([
            Key(
                "algorithm", .scalar(.word(algorithms.map(\.name))), default: "round_robin",
                "round_robin and weighted take turns, least_conn takes the one with the fewest requests, p2c_ewma the quicker of two, "
                    + "ip_hash goes by the client's address, consistent_hash by hash_on, random by chance."),
            Key(
                "hash_on", .scalar(.word(["header", "cookie", "query", "path", "user"])),
                "What consistent_hash looks at, which needs it. user has no effect in this version.", .judgedByBuilder),
            Key("hash_name", .scalar(.text(maximum: 256)), "The name of the header, cookie or parameter."),
            Key(
                "bound", .scalar(.factor(1000...100_000)),
                default: AmountText.factor(Int((Balancer.Policy().loadBound * 1000).rounded())),
                "How many times the average load an instance may have before consistent_hash passes it over."
            ).dependent,
            Key(
                "slow_start", .scalar(.duration(.seconds(1) ... .seconds(86_400), off: true)), default: "off",
                "The time in which the share of an instance that joins or comes back grows to the whole."),
            Key(
                "degraded_weight", .scalar(.ratio()), default: AmountText.of(permille: HealthPolicy().degradedShare),
                "What an instance that is DEGRADED keeps of its weight."),
            Key("sticky", .object(sticky), "Keeps a client with one instance by a signed cookie."),
        ])
    }

    static var sticky: ObjectShape {
        ObjectShape([
            Key("cookie", .scalar(.token), required: true, "The name of the cookie."),
            Key(
                "secret", .scalar(.secret),
                "What signs it, at least \(Defaults.stickySecretBytes) bytes, the same on every gateway. Left out: drawn at each start."
            ),
            Key(
                "max_age", .scalar(.duration(.seconds(1) ... .seconds(400 * 86_400))),
                default: AmountText.of(Defaults.stickyMaxAge), "How long a session lives without a request."),
            Key("path", .scalar(.path), default: "/", "The paths for which browsers send it."),
            Key("http_only", .scalar(.truth), default: "true", "Whether it is kept from scripts."),
            Key(
                "secure", .scalar(.truth), default: "false", "Whether browsers send it over TLS only. true with same_site none."
            ).dependent,
            Key(
                "same_site", .scalar(.word(sameSites.map(\.name))), default: "lax",
                "Whether it is sent with requests that other sites begin: lax with links alone, strict never, none always."),
        ])
    }
}
