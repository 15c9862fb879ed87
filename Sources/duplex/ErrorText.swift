// Errors in the words of the command: the libraries name the settings of their configurations, which a user of the command sets by flags.

import EngineIO
import SocketIO
import WebSockets

/// The texts of errors.
enum ErrorText {
    /// The settings that the errors of a client name, and the flags that set them; nothing for those that have none.
    static let flags: KeyValuePairs = [
        "tls.serverName": "--server-name",
        "tls.roots": "--ca-certificate",
        "tls.identity": "--client-certificate and --client-key",
        " (timeout)": "",
        " (maxRedirects)": "",
    ]

    /// What went wrong, for the command's user.
    static func of(_ error: any Error) -> String { withFlags(text(error)) }

    static func withFlags(_ text: String) -> String {
        flags.reduce(text) { text, pair in text.replacing(pair.key, with: pair.value) }
    }

    private static func text(_ error: any Error) -> String {
        guard let error = error as? SocketIOConnectError, error.reason == .refused else { return "\(error)" }
        let words = error.message.isEmpty ? "" : ": \(error.message)"
        return "the server refused the connection\(words)\(error.data.map { ", with the data \($0.json)" } ?? "")"
    }

    /// A time as it is typed: `5 s`, `0.5 s`.
    static func seconds(_ duration: Duration) -> String {
        let seconds = duration / .seconds(1)
        return seconds == seconds.rounded() && seconds < 1e9 ? "\(Int(seconds)) s" : "\(seconds) s"
    }
}
