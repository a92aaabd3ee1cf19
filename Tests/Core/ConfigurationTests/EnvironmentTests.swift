import Configuration
import ConfigurationFile
import Glibc
import Primitives
import Testing

struct EnvironmentTests {
    private let routes = """
        services: {users: {instances: [{url: "http://a:1", weight: 3}, {url: "http://b:1"}]}}
        routes:
          - {name: plain, match: {path: "/api/v1/a/*"}, service: users}
          - {name: strip, match: {path: "/api/v1/b/*"}, service: users, path: {strip_prefix: /api/v1}}
          - {name: add, match: {path: /api/v1}, service: users, path: {add_prefix: /x}}
          - {name: rewrite, match: {path: "/api/v1/c/{id}"}, service: users, path: {rewrite: "/c/{id}"}}
          - {name: answer, match: {path: /api/v1/d}, respond: {}}
          - {name: near, match: {path: /api/v12}, service: users}

        """

    @Test(arguments: ["true", "1", "yes", "ON"])
    func `DEBUG sets the log level, whatever the file says`(value: String) {
        #expect(loadRest("server: {log_level: error}\n", environment: ["DEBUG": value]).configuration?.server.logLevel == .debug)
        #expect(loadRest("log_level: ERROR\n", environment: ["DEBUG": value]).configuration?.server.logLevel == .debug)
        #expect(loadRest("", environment: ["DEBUG": value]).configuration?.server.logLevel == .debug)
    }

    @Test(arguments: ["", "0", "false", "release", "express:*"])
    func `DEBUG of any other value is ignored`(value: String) {
        let result = loadRest(
            "server: {log_level: error}\nroutes: [{name: h, match: {path: /h}, health: true}]\n", environment: ["DEBUG": value])
        #expect(result.configuration?.server.logLevel == .error)
        #expect(lines(result) == [])
    }

    @Test func `API_V1_PREFIX is put before the routes below it, and their backends do not see it`() throws {
        let result = loadRest(routes, environment: ["API_V1_PREFIX": "/gw/"])
        #expect(lines(result) == [])
        let found = try #require(result.configuration).routes
        #expect(
            found.map(\.match.path) == [
                "/gw/api/v1/a/*", "/gw/api/v1/b/*", "/gw/api/v1", "/gw/api/v1/c/{id}", "/gw/api/v1/d", "/api/v12",
            ])
        #expect(
            found.map(\.path.rewrite) == [
                .prefix(strip: "/gw", add: ""), .prefix(strip: "/gw/api/v1", add: ""), .prefix(strip: "/gw", add: "/x"),
                .replace("/c/{id}"), .none, .none,
            ])
        #expect(sources(result)["routes[0].match.path"] == "environment API_V1_PREFIX")
        #expect(sources(result)["routes[0].path.strip_prefix"] == "environment API_V1_PREFIX")
    }

    @Test(arguments: ["", "/", "/api/v1", "/api/v1/"])
    func `API_V1_PREFIX of its usual value changes nothing`(value: String) {
        #expect(loadRest(routes, environment: ["API_V1_PREFIX": value]).configuration == loadRest(routes).configuration)
    }

    @Test func `SECRET_KEY is the secret of the middleware jwt`() {
        let key = "environment-0123456789abcdef-0123"
        #expect(sources(loadRest("", environment: ["SECRET_KEY": key]))["middlewares.jwt.jwt.secret"] == "environment SECRET_KEY")
        let file = "middlewares: {jwt: {jwt: {algorithms: [HS512], secret: short}}}\n"
        // The file's own secret, which is too short, is not looked at.
        #expect(loadRest(file, environment: ["SECRET_KEY": key]).errors == [])
        #expect(loadRest(file).errors.count == 1)
        #expect(loadRest("jwt_secret: short\n", environment: ["SECRET_KEY": key + "$${x}"]).errors == [])
        let other = loadRest(
            "middlewares: {jwt: {jwt: {algorithms: [RS256], jwks_file: /j}}}\n", environment: ["SECRET_KEY": key])
        #expect(
            lines(other).first
                == "environment SECRET_KEY: warning: has no effect: the middleware \"jwt\" has no secret that it could replace")
    }

    @Test func `RATE_LIMIT_PER_SECOND is the rate of the limits that give none`() {
        let file = "middlewares: {a: {rate_limit: {}}, b: {rate_limit: {rate: 3/m}}}\n"
        let found = effective(loadRest(file, environment: ["RATE_LIMIT_PER_SECOND": "50"]))
        #expect(found["middlewares.a.rate_limit.rate"] == "50/s")
        #expect(found["middlewares.b.rate_limit.rate"] == "3/m")
        #expect(
            lines(loadRest("", environment: ["RATE_LIMIT_PER_SECOND": "50"])).first
                == "environment RATE_LIMIT_PER_SECOND: warning: has no effect: no rate_limit leaves its rate out")
    }

    @Test func `ACCESS_TOKEN_EXPIRE_MINUTES is checked, and without effect`() {
        #expect(
            lines(loadRest("", environment: ["ACCESS_TOKEN_EXPIRE_MINUTES": "30"])).first
                == "environment ACCESS_TOKEN_EXPIRE_MINUTES: warning: the lifetime of access tokens is accepted, but has no effect in this version"
        )
    }

    @Test(arguments: [
        (["REDIS_HOST": "r"], "", "redis://r:6379/0"), (["REDIS_PORT": "7"], "", "redis://localhost:7/0"),
        (["REDIS_HOST": "::1", "REDIS_PORT": "7"], "", "redis://[::1]:7/0"),
        (["REDIS_HOST": "r"], "rediss://old:1/3", "rediss://r:1/3"), (["REDIS_PORT": "7"], "redis://old/3", "redis://old:7/3"),
        (["REDIS_HOST": "r"], "unix:///s", "redis://r:6379/0"),
    ])
    func `REDIS_HOST and REDIS_PORT are the place of the store`(environment: [String: String], file: String, url: String) {
        let text = file.isEmpty ? "" : "store: {url: \"\(file)\"}\n"
        let result = loadRest(text, environment: environment)
        #expect(result.errors == [])
        #expect(effective(result)["store.url"] == url)
    }

    @Test func `a service link of Kubernetes is no port`() {
        let result = loadRest("", environment: ["REDIS_PORT": "tcp://10.0.0.1:6379"])
        #expect(result.errors == [])
        #expect(effective(result)["store.url"] == nil)
    }

    @Test func `NAME_SERVICE_URL is the one instance of a service`() throws {
        let environment = ["USERS_SERVICE_URL": "http://new:9", "USER_DATA_SERVICE_URL": "unix:/run/x.sock", "_SERVICE_URL": "?"]
        let services = try #require(loadRest(routes, environment: environment).configuration).services
        #expect(services.map(\.name) == ["users", "user_data"])
        #expect(services[0].instances == [InstanceConfiguration(address: .name("new", port: 9))])
        #expect(services[1].instances.map(\.address.text) == ["unix:/run/x.sock"])
    }

    @Test func `an underscore in NAME_SERVICE_URL also stands for a dash`() throws {
        let text = "services: {User-API: {instances: [{url: \"http://old\"}], pass_host: false}}\n"
        let services = try #require(loadRest(text, environment: ["USER_API_SERVICE_URL": "http://new"]).configuration).services
        #expect(services.map(\.name) == ["User-API"])
        #expect(services[0].instances.map(\.address.text) == ["new:80"])
        #expect(services[0].passHost == .ofInstance)
    }

    @Test func `variables that are not asked for are not kept`() {
        let result = loadRest("server: {log_level: \"${LEVEL:-info}\"}\n", environment: ["LEVEL": "warn", "OTHER_SECRET": "x"])
        #expect(result.origin?.environment == ["LEVEL": "warn"])
    }

    @Test func `the process environment is searched for services`() {
        setenv("SLUICE_TEST_ONLY_SERVICE_URL", "http://127.0.0.1:1", 1)
        defer { unsetenv("SLUICE_TEST_ONLY_SERVICE_URL") }
        let result = withFile("listeners: [{name: web, address: \"127.0.0.1:0\"}]\n") { ConfigurationLoader.load(path: $0) }
        #expect(result.configuration?.services.contains { $0.name == "sluice_test_only" } == true)
    }
}
