import CYAML
import Configuration

/// Turns YAML text into a tree of nodes, with libyaml's events and marks.
///
/// Refused, since each makes a file mean something else than it seems to: a key that stands twice, a second document, an
/// anchor that contains itself, tags that name types. Bounded, since a file of a few hundred bytes can ask for gigabytes:
/// depth, and the nodes that aliases stand for.
public struct YAMLReader {
    /// Levels of nesting; the schema needs eight.
    static var depthMaximum: Int { 64 }
    /// Nodes that all aliases of a file may stand for together.
    static var aliasedNodesMaximum: Int { 100_000 }
    /// Values in a file, those of aliases not counted: twenty for each of a hundred thousand routes.
    static var nodesMaximum: Int { 2_000_000 }
    /// Bytes in a file.
    public static var bytesMaximum: Int { 16 << 20 }

    private let file: String
    private var diagnostics: [Diagnostic] = []
    /// The collections that are open, outermost first.
    private var open: [Open] = []
    private var anchors: [String: Anchored] = [:]
    /// Anchors of the collections that are open, which an alias inside them must not name.
    private var unfinished: Set<String> = []
    private var aliasedNodes = 0
    private var nodes = 0
    private var root: Node?

    private struct Anchored {
        var node: Node
        var nodes: Int
        var depth: Int
    }

    /// A collection whose end has not been seen.
    private struct Open {
        var mark: Mark
        var anchor: String
        var kind: Kind
        /// Nodes in it so far, itself included, and the levels below it.
        var nodes = 1
        var depth = 0

        enum Kind {
            case sequence([Node])
            case mapping(MappingBuilder)
        }
    }

    private init(file: String) { self.file = file }

    /// The tree, or nil, and what is wrong. A tree with errors is still worth checking: its other mistakes are found in the
    /// same run.
    public static func read(_ text: [UInt8], file: String) -> (root: Node?, diagnostics: [Diagnostic]) {
        var reader = YAMLReader(file: file)
        reader.run(text)
        return (reader.root, reader.diagnostics)
    }

    /// The tree as far as the text can be understood: what is open at the first mistake that ends the reading is closed there.
    /// - Returns: the tree, or nil; and whether it is all of the text.
    public static func readBeginning(_ text: [UInt8], file: String) -> (root: Node?, isWhole: Bool, diagnostics: [Diagnostic]) {
        var reader = YAMLReader(file: file)
        reader.run(text)
        if reader.root != nil { return (reader.root, true, reader.diagnostics) }
        while reader.end() {}
        return (reader.root, false, reader.diagnostics)
    }

    private mutating func run(_ text: [UInt8]) {
        guard text.count <= YAMLReader.bytesMaximum else {
            return report(start, "the file is longer than \(YAMLReader.bytesMaximum >> 20)MiB")
        }
        let body = text.starts(with: [0xef, 0xbb, 0xbf]) ? text[3...] : text[...]
        if let (mark, message) = TextCheck.firstFault(body, file: file) { return report(mark, message) }
        // libyaml asserts that there is an address, which an empty buffer need not have.
        guard !body.isEmpty else { return report(start, "the file is empty") }
        var parser = yaml_parser_t()
        guard yaml_parser_initialize(&parser) == 1 else { return report(start, "out of memory") }
        defer { yaml_parser_delete(&parser) }
        body.withUnsafeBufferPointer { bytes in
            yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING)
            // libyaml keeps the pointer, which is good until the parser has been run below.
            yaml_parser_set_input_string(&parser, bytes.baseAddress, bytes.count)
            while step(&parser, body) {}
        }
        if root == nil, diagnostics.isEmpty { report(start, "the file is empty") }
    }

    private var start: Mark { Mark(file: file, line: 1, column: 1) }

    private func mark(_ mark: yaml_mark_t) -> Mark { Mark(file: file, line: mark.line + 1, column: mark.column + 1) }

    private mutating func report(_ mark: Mark, _ message: String) {
        // One more than is shown, so that the list says that there are more.
        guard diagnostics.count <= DiagnosticList.maximum else { return }
        diagnostics.append(Diagnostic(.error, mark: mark, path: "", message: message))
    }

    /// Takes one event; false when it was the last, or nothing behind it can be understood.
    private mutating func step(_ parser: inout yaml_parser_t, _ text: ArraySlice<UInt8>) -> Bool {
        var event = yaml_event_t()
        guard yaml_parser_parse(&parser, &event) == 1 else {
            reportProblem(parser, text)
            root = nil
            return false
        }
        defer { yaml_event_delete(&event) }
        let here = mark(event.start_mark)
        switch event.type {
        case YAML_STREAM_END_EVENT:
            return false
        case YAML_DOCUMENT_START_EVENT where root != nil:
            report(here, "a second document; a file holds one")
            return false
        case YAML_SCALAR_EVENT:
            return scalar(event.data.scalar, at: here)
        case YAML_SEQUENCE_START_EVENT:
            let data = event.data.sequence_start
            return begin(.sequence([]), anchor: string(data.anchor), tag: string(data.tag), expected: "seq", at: here)
        case YAML_MAPPING_START_EVENT:
            let data = event.data.mapping_start
            return begin(
                .mapping(MappingBuilder()), anchor: string(data.anchor), tag: string(data.tag), expected: "map", at: here)
        case YAML_SEQUENCE_END_EVENT, YAML_MAPPING_END_EVENT:
            return end()
        case YAML_ALIAS_EVENT:
            return alias(string(event.data.alias.anchor), at: here)
        default:
            return true
        }
    }

    private mutating func reportProblem(_ parser: yaml_parser_t, _ text: ArraySlice<UInt8>) {
        let here = mark(parser.problem_mark)
        if TextCheck.isTab(at: here, in: text) { return report(here, "a tab; YAML is indented with spaces") }
        let problem = parser.problem.map { String(cString: $0) } ?? "cannot be read"
        var context = parser.context.map { String(cString: $0) } ?? ""
        let began = mark(parser.context_mark)
        if !context.isEmpty, began.line < here.line { context += " that began in line \(began.line)" }
        report(here, context.isEmpty ? problem : "\(problem) (\(context))")
    }

    private func string(_ bytes: UnsafeMutablePointer<yaml_char_t>?) -> String {
        bytes.map { String(cString: $0) } ?? ""
    }

    // Nodes.

    private mutating func scalar(_ data: yaml_event_s.__Unnamed_union_data.__Unnamed_struct_scalar, at here: Mark) -> Bool {
        let value = String(decoding: UnsafeBufferPointer(start: data.value, count: data.length), as: UTF8.self)
        if value.utf8.contains(0) {
            report(here, "text with a NUL character")
            return false
        }
        var style = data.style == YAML_PLAIN_SCALAR_STYLE ? Node.Style.plain : .quoted
        switch string(data.tag) {
        case "": break
        case "!", "tag:yaml.org,2002:str": style = .quoted
        case "tag:yaml.org,2002:int", "tag:yaml.org,2002:float", "tag:yaml.org,2002:bool", "tag:yaml.org,2002:null":
            style = .plain
        case let tag: report(here, "the tag \(tag) is not supported")
        }
        return add(Node(mark: here, content: .scalar(value, style)), anchor: string(data.anchor), nodes: 1, depth: 1)
    }

    private mutating func begin(_ kind: Open.Kind, anchor: String, tag: String, expected: String, at here: Mark) -> Bool {
        guard open.count < YAMLReader.depthMaximum else { return tooDeep(here) }
        if !tag.isEmpty, tag != "!", tag != "tag:yaml.org,2002:\(expected)" { report(here, "the tag \(tag) is not supported") }
        if !anchor.isEmpty { unfinished.insert(anchor) }
        open.append(Open(mark: here, anchor: anchor, kind: kind))
        return true
    }

    private mutating func end() -> Bool {
        guard let done = open.popLast() else { return false }
        unfinished.remove(done.anchor)
        let content: Node.Content
        switch done.kind {
        case .sequence(let nodes): content = .sequence(nodes)
        case .mapping(let mapping): content = .mapping(mapping.finished())
        }
        return add(Node(mark: done.mark, content: content), anchor: done.anchor, nodes: done.nodes, depth: done.depth + 1)
    }

    private mutating func alias(_ name: String, at here: Mark) -> Bool {
        if unfinished.contains(name) {
            report(here, "the alias *\(name) stands inside what it names")
            root = nil
            return false
        }
        guard let anchored = anchors[name] else {
            report(here, "there is no anchor &\(name) before this alias")
            root = nil
            return false
        }
        aliasedNodes += anchored.nodes
        guard aliasedNodes <= YAMLReader.aliasedNodesMaximum else {
            report(here, "the aliases of the file stand for more than \(YAMLReader.aliasedNodesMaximum) values")
            root = nil
            return false
        }
        return add(anchored.node, anchor: "", nodes: anchored.nodes, depth: anchored.depth, isAlias: true)
    }

    private mutating func tooDeep(_ here: Mark) -> Bool {
        report(here, "nested more than \(YAMLReader.depthMaximum) levels deep")
        root = nil
        return false
    }

    /// Puts a finished node into the collection that is open, or makes it the root.
    private mutating func add(_ node: Node, anchor: String, nodes: Int, depth: Int, isAlias: Bool = false) -> Bool {
        if !anchor.isEmpty { anchors[anchor] = Anchored(node: node, nodes: nodes, depth: depth) }
        guard open.count + depth <= YAMLReader.depthMaximum + 1 else { return tooDeep(node.mark) }
        self.nodes += 1
        guard self.nodes <= YAMLReader.nodesMaximum else {
            report(node.mark, "the file has more than \(YAMLReader.nodesMaximum) values")
            root = nil
            return false
        }
        guard var parent = open.popLast() else {
            root = node
            return true
        }
        parent.nodes += nodes
        parent.depth = max(parent.depth, depth)
        switch parent.kind {
        case .sequence(var list):
            parent.kind = .sequence([])
            list.append(node)
            parent.kind = .sequence(list)
        case .mapping(var mapping):
            parent.kind = .sequence([])
            if let fault = mapping.add(node, isAlias: isAlias) { report(fault.mark, fault.message) }
            parent.kind = .mapping(mapping)
        }
        open.append(parent)
        return true
    }
}
