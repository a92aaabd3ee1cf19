import Configuration
import Pipeline

extension SnapshotBuilder {
    /// Makes a middleware of a type that this build of the daemon was given.
    ///
    /// - Throws: that there is no such type, or what the type says of its options, at the middleware's place in the file.
    func custom(_ name: String, type typeName: String, _ options: [CustomOption]) throws(BuildError) -> any Middleware {
        guard let type = middlewareTypes.first(where: { $0.name == typeName }) else {
            let known = middlewareTypes.map(\.name).sorted()
            throw customFault(
                name, key: ".type",
                "this build has no middleware type \"\(typeName)\"; "
                    + (known.isEmpty ? "it was built without any" : "it has \(known.joined(separator: ", "))"))
        }
        do {
            let secrets = Set(options.filter(\.isSecret).map(\.name))
            return try type.middleware(MiddlewareOptions(options.map { (key: $0.name, text: $0.value) }, secrets: secrets))
        } catch {
            throw customFault(name, key: "", "\(error)")
        }
    }

    private func customFault(_ name: String, key: String, _ message: String) -> BuildError {
        let start = Mark(file: places.admin.mark.file, line: 1, column: 1)
        let place = places.middlewares[name] ?? LoadResult.Place(mark: start, path: "middlewares.\(name)")
        return BuildError([Diagnostic(.error, mark: place.mark, path: place.path + key, message: message)])
    }
}
