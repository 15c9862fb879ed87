// One HTTP request on a connection of its own, and its answer.

import NIOCore

@testable import WebSockets

/// What a server answered.
struct HTTPAnswer: Sendable {
    let head: String
    let body: String

    var status: Int { Int(head.dropFirst("HTTP/1.1 ".count).prefix(3)) ?? 0 }
    func field(_ name: String) -> String? { EngineIOTests.field(name, in: head) }

    static func to(_ method: String, _ path: String, port: Int, fields: String = "", body: String = "") async throws -> HTTPAnswer {
        let client = try await RawClient.connect(port: port)
        try await client.send(request(method, path, fields: fields, body: body))
        let (head, body) = try await client.readResponse()
        await client.close()
        return HTTPAnswer(head: head, body: body)
    }

    static func request(_ method: String, _ path: String, fields: String = "", body: String = "") -> String {
        let length = method == "GET" && body.isEmpty ? "" : "Content-Length: \(body.utf8.count)\r\n"
        return "\(method) \(path) HTTP/1.1\r\nHost: 127.0.0.1\r\n\(length)\(fields)\r\n\(body)"
    }
}

/// The value of a header field in a head.
func field(_ name: String, in head: String) -> String? {
    for line in head.split(separator: "\r\n") {
        let parts = line.split(separator: ":", maxSplits: 1)
        if parts.count == 2, parts[0].lowercased() == name.lowercased() { return parts[1].drop { $0 == " " }.description }
    }
    return nil
}
