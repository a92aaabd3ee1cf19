import Configuration
import Testing

struct FallbackTests {
    @Test func `a service falls back to one that stands before or behind it, or to a fixed answer`() throws {
        let result = loadRest(
            """
            services:
              a: {instances: [{url: "http://h"}], fallback: {service: c}}
              b: {instances: [{url: "http://h"}], fallback: {status: 503, body: "no", content_type: text/html, headers: {Retry-After: 5}}}
              c: {instances: [{url: "http://h"}], fallback: {service: b}}
              d: {instances: [{url: "http://h"}], fallback: {enabled: false, service: a}}
            routes:
              - {name: a, match: {path: /a}, service: a}
              - {name: b, match: {path: /b}, service: a, fallback: {service: b}}
              - {name: c, match: {path: /c}, service: a, fallback: {body: own}}
              - {name: d, match: {path: /d}, service: a, fallback: {enabled: false, body: own}}

            """)
        #expect(lines(result) == [])
        let configuration = try #require(result.configuration)
        var answer = FixedResponse()
        answer.status = 503
        answer.body = Array("no".utf8)
        answer.contentType = "text/html"
        answer.headers = [HeaderLine(name: "Retry-After", value: [0x35])]
        #expect(configuration.services.map(\.fallback) == [.service(2), .response(answer), .service(1), nil])
        var own = FixedResponse()
        own.body = Array("own".utf8)
        #expect(configuration.routes.map(\.fallback) == [nil, .service(1), .response(own), nil])
    }

    @Test func `a fallback that would only say that it is closed is left out and warned about`() throws {
        let result = loadRest(
            """
            services:
              a: {instances: [{url: "http://h"}], fallback: {service: off}}
              b: {instances: [{url: "http://h"}], fallback: {service: closed}}
              off: {enabled: false, instances: [{url: "http://h"}], fallback: {service: closed}}
              closed: {maintenance: true, instances: [{url: "http://h"}]}
            routes: [{name: a, match: {path: /a}, service: a, fallback: {service: closed}}]

            """)
        #expect(
            lines(result) == [
                "t.yaml:3:59: warning: services.a.fallback.service: the service \"off\" is switched off: there is no fallback",
                "t.yaml:4:59: warning: services.b.fallback.service: the service \"closed\" is under maintenance: there is no fallback",
                "t.yaml:7:71: warning: routes[0].fallback.service: the service \"closed\" is under maintenance: there is no fallback",
            ])
        #expect(result.configuration?.services.map(\.fallback) == [nil, nil, nil, nil])
        #expect(result.configuration?.routes.first?.fallback == nil)
    }

    @Test func `two ways to the same fallback are no loop`() {
        let result = loadRest(
            """
            services:
              a: {instances: [{url: "http://h"}], fallback: {service: c}}
              b: {instances: [{url: "http://h"}], fallback: {service: c}}
              c: {instances: [{url: "http://h"}]}
            routes:
              - {name: a, match: {path: /a}, service: a, fallback: {service: b}}
              - {name: c, match: {path: /c}, service: b, fallback: {service: a}}

            """)
        #expect(lines(result) == [])
    }

    @Test func `a chain of thousands of fallbacks is followed, and closed at its end it is refused`() throws {
        let count = 5000
        func text(last: String) -> String {
            "services:\n"
                + (0..<count).map {
                    "  s\($0): {instances: [{url: \"http://h\"}]\($0 + 1 < count ? ", fallback: {service: s\($0 + 1)}" : last)}\n"
                }.joined() + "routes: [{name: r, match: {path: /}, service: s0}]\n"
        }
        #expect(lines(loadRest(text(last: ""))) == [])
        let errors = loadRest(text(last: ", fallback: {service: s0}")).errors
        #expect(errors.count == 1)
        #expect(errors.first?.message.hasPrefix("these fallbacks lead back: s0 -> s1 -> s2 -> ") == true)
        #expect((errors.first?.message.utf8.count ?? 0) < 2000)
    }
}
