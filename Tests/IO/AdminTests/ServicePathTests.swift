import Testing

@testable import Control

struct ServicePathTests {
    @Test(arguments: [
        ("/services", ServicePath.services), ("/api/v1/gateway/services", .services), ("/services/users", .service("users")),
        ("/services/a%2Fb", .service("a/b")), ("/services/a/b", .service("a/b")),
        ("/services/users/instances/10.0.0.5:8080", .instance("10.0.0.5:8080", of: "users")),
        ("/services/users/instances/10.0.0.5%3A8080/drain", .drain("10.0.0.5:8080", of: "users")),
        ("/api/v1/gateway/services/users/instances/%5B::1%5D:80/undrain", .undrain("[::1]:80", of: "users")),
        ("/services/u/instances/unix:%2Frun%2Fa%20b.sock/drain", .drain("unix:/run/a b.sock", of: "u")),
        ("/services/u/instances/unix:/run/a.sock/drain", .drain("unix:/run/a.sock", of: "u")),
        ("/services/u/instances/drain", .instance("drain", of: "u")),
        ("/services/instances/instances/x/drain", .drain("x", of: "instances")),
        ("/breakers", .breakers), ("/breakers/users", .breaker("users")), ("/breakers/users/trip", .trip("users")),
        ("/breakers/users%2Ftrip", .breaker("users/trip")), ("/breakers/users%2Ftrip/reset", .reset("users/trip")),
        ("/breakers/trip", .breaker("trip")), ("/api/v1/gateway/breakers/users/reset", .reset("users")),
        ("/health-check/a%2Fb", .health("a/b")),
    ])
    func `a path names what it is about, with and without escapes`(path: String, expected: ServicePath) {
        #expect(ServicePath(path) == expected)
    }

    @Test(arguments: [
        "", "/", "/service", "/services/", "/services//drain", "/services/users/", "/services/users/instances",
        "/services/users/instances/", "/services/users/instances//drain", "/breakers/", "/breakers//trip", "/health-check",
        "/health-check/", "/api/v1/gateway", "/api/v1/gateway/", "/api/v1/gateway/health-check/users", "/api/v1/breakers",
        "/config",
    ])
    func `another path is none of these`(path: String) {
        #expect(ServicePath(path) == nil)
    }

    @Test func `what changes something is asked for with POST, the rest is read`() {
        #expect(ServicePath.trip("a").methods == ["POST"] && ServicePath.reset("a").methods == ["POST"])
        #expect(ServicePath.drain("i", of: "a").methods == ["POST"] && ServicePath.undrain("i", of: "a").methods == ["POST"])
        #expect(ServicePath.services.methods == ["GET", "HEAD"] && ServicePath.breaker("a").methods == ["GET", "HEAD"])
    }
}
