import Primitives

/// The tables of keys: middlewares.
extension Schema {
    static var middleware: ObjectShape {
        ObjectShape(
            [
                Key("headers", .object(headerRules), "Changes header fields."),
                Key("body_size", .object(bodySize), "Limits the request's body."),
                Key("jwt", .object(jwt), "Lets in who shows a JSON Web Token.", .judgedByBuilder),
                Key("api_key", .object(apiKey), "Lets in who shows an API key.", .judgedByBuilder),
                Key("authorize", .object(authorize), "Lets in who has a scope, a role or a permission.", .judgedByBuilder),
                Key("ip_access", .object(ipAccess), "Lets in by address."),
                Key("client_cert", .object(clientCertificate), "Lets in by the client's certificate."),
                Key("rate_limit", .object(rateLimit), "Limits requests over time.", .judgedByBuilder),
                Key("cors", .object(cors), "Lets scripts of other sites in."),
                Key("cache", .object(cache), "Keeps answers.", .judgedByBuilder),
                Key("custom", .object(custom), "A kind that this daemon was built with."),
            ],
            exactlyOneOf: [
                "headers", "body_size", "jwt", "api_key", "authorize", "ip_access", "client_cert", "rate_limit", "cors", "cache",
                "custom",
            ])
    }

    static var headerRules: ObjectShape {
        ObjectShape([
            Key("request", .object(headerChanges(.request)), "On the way to the backend."),
            Key("response", .object(headerChanges(.response)), "On the way to the client."),
        ])
    }

    static func headerChanges(_ side: MessageSide) -> ObjectShape {
        ObjectShape([
            Key(
                "remove", .list(.scalar(.fieldName(side)), orOne: true, count: 0...256), default: "[]",
                "Fields that are taken out, first of all."),
            Key(
                "set", .map(.changeableFieldName(side), .scalar(.fieldValue), maximum: 256), default: "{}",
                "Fields that take the place of all of their name."),
            Key(
                "add", .map(.changeableFieldName(side), .scalar(.fieldValue), maximum: 256), default: "{}",
                "Fields that are put behind what is there."),
        ])
    }

    static var bodySize: ObjectShape {
        ObjectShape([
            Key(
                "max", .scalar(.size(1...(1 << 50), zeroIsUnlimited: true)), required: true,
                "The body; 413 beyond. 0 is no limit.")
        ])
    }

    static var jwt: ObjectShape {
        ObjectShape([
            Key("issuer", .scalar(.text()), "What iss must be."),
            Key("audience", .list(.scalar(.text()), orOne: true, count: 1...64), "What aud must have one of."),
            Key(
                "algorithms",
                .list(
                    .scalar(
                        .word([
                            "HS256", "HS384", "HS512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512",
                            "ES256", "ES384", "ES512", "EdDSA",
                        ])), orOne: true, count: 1...13), required: true, "The algorithms that are accepted."),
            Key("jwks_url", .scalar(.url(schemes: ["https", "http"])), "Where the issuer's keys are."),
            Key("jwks_file", .scalar(.filePath()), "The issuer's keys in a file."),
            Key("public_key_file", .scalar(.filePath()), "One public key, PEM."),
            Key("secret", .scalar(.secret), "The key of the HS algorithms, at least 32 bytes."),
            Key("leeway", .scalar(.duration(.zero ... .seconds(600))), default: "30s", "By how much clocks may differ."),
            Key("max_bytes", .scalar(.size(256...65_535)), default: "8KiB", "The longest token that is looked at."),
            Key(
                "jwks_refresh", .scalar(.duration(.seconds(60) ... .seconds(86_400))), default: "10m",
                "How often the keys are fetched where their answer does not say."),
            Key("header", .scalar(.token), default: "Authorization", "The field that carries the token."),
            Key("cookie", .scalar(.token), "A cookie that carries it, where the field is missing."),
            Key("key_claim_name", .scalar(.text()), default: "sub", "The claim that names the user."),
            Key("forward_credentials", .scalar(.truth), default: "true", "Whether the backend gets the token."),
        ])
    }

    static var apiKey: ObjectShape {
        ObjectShape([
            Key("header", .scalar(.token), default: "X-API-Key", "The field that carries the key."),
            Key("keys_file", .scalar(.filePath()), "The keys in a file."),
            Key("forward_credentials", .scalar(.truth), default: "false", "Whether the backend gets the key."),
        ])
    }

    static var authorize: ObjectShape {
        func names(_ key: String, _ summary: String) -> Key {
            Key(key, .list(.scalar(.text()), orOne: true, count: 1...256), summary)
        }
        return ObjectShape([
            names("scopes_any", "One of these scopes."),
            names("scopes_all", "All of these scopes."),
            names("roles_any", "One of these roles."),
            names("permissions", "All of these permissions, each resource:action."),
        ])
    }

    static var ipAccess: ObjectShape {
        ObjectShape([
            Key(
                "allow", .list(.scalar(.addressBlock), orOne: true, count: 0...10_000), default: "[]",
                "Who is let in; empty is everybody."),
            Key("deny", .list(.scalar(.addressBlock), orOne: true, count: 0...10_000), default: "[]", "Who is not, before all."),
        ])
    }

    static var rateLimit: ObjectShape {
        ObjectShape([
            Key(
                "key", .scalar(.text()), default: "ip",
                "What is counted by: ip, user, org, api_key, route, service, global, or header:NAME."),
            Key("rate", .scalar(.rate), default: "10/s", "How many requests in what time."),
            Key("burst", .scalar(.integer(1...1_000_000_000)), default: "20", "How many at once."),
            Key(
                "algorithm", .scalar(.word(["token_bucket", "sliding_window", "fixed_window", "concurrency"])),
                default: "token_bucket", "How it is counted."),
            Key("store", .scalar(.word(["local", "redis"])), default: "redis", "Where it is counted; without a store, locally."),
            Key(
                "on_store_failure", .scalar(.word(["local", "allow", "deny"])), default: "local",
                "What is done while the store cannot be reached."),
            Key("report_only", .scalar(.truth), default: "false", "Whether it only counts and lets everything through."),
            Key("cost", .scalar(.integer(1...1_000_000)), default: "1", "What one request takes."),
        ])
    }

    static var rateLimitKeys: [String] { ["ip", "user", "org", "api_key", "route", "service", "global"] }

    static var cors: ObjectShape {
        ObjectShape([
            Key(
                "allow_origins", .list(.scalar(.origin), orOne: true, count: 1...1024), required: true,
                "Sites whose scripts are let in, or *."),
            Key(
                "allow_methods", .list(.scalar(.method), orOne: true, count: 0...64),
                default: "[\(Defaults.corsMethods.joined(separator: ", "))]",
                "What they may do."),
            Key(
                "allow_headers", .list(.scalar(.token), orOne: true, count: 0...256), default: "[]",
                "Fields that they may send; * is any but Authorization."),
            Key(
                "expose_headers", .list(.scalar(.token), orOne: true, count: 0...256), default: "[]", "Fields that they may read."
            ),
            Key("allow_credentials", .scalar(.truth), default: "false", "Whether cookies are sent; never with * or null."),
            Key(
                "max_age", .scalar(.duration(.zero ... .seconds(86_400))), default: AmountText.of(Defaults.corsMaxAge),
                "How long a preflight is remembered."),
        ])
    }

    static var custom: ObjectShape {
        ObjectShape([
            Key("type", .scalar(.name), required: true, "The name under which the daemon knows it."),
            Key(
                "options", .map(.name, .scalar(.option), maximum: 256), default: "{}",
                "Its settings. One that begins with file: or cred: is read like a secret."),
        ])
    }

    static var cache: ObjectShape {
        ObjectShape([
            Key("ttl", .scalar(.duration(anyTime)), default: "60s", "How long an answer is kept that does not say."),
            Key("max_bytes", .scalar(.size(1...(1 << 30))), default: "1MiB", "The longest answer that is kept."),
        ])
    }
}
