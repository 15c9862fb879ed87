// Many sessions that are told the same.

import WebSockets

/// The sessions among many that are carried by WebSockets, to which a message leaves from one piece of memory a thread.
package final class EngineIOGroup: Sendable {
    private let sockets = WebSocketGroup()

    /// Makes a group without members.
    package init() {}

    /// Adds a session, if a WebSocket carries it, the change to that is complete, and the messages can go to it as they are.
    ///
    /// From one thread, what is said to the group and what is said to one of its sessions arrives in the order of the calls.
    ///
    /// Nobody is called meanwhile, so that the caller may hold a lock.
    ///
    /// - Returns: whether the session is a member.
    package func add(_ session: EngineIOSession) -> Bool {
        guard session.supportsBinary, let socket = session.passingSocket else { return false }
        sockets.add(socket)
        return true
    }

    /// Takes a session out; nobody is called meanwhile.
    package func remove(_ session: EngineIOSession) {
        if let socket = session.webSocket { sockets.remove(socket) }
    }

    /// Sends a message to all members but one.
    package func send(_ prepared: EngineIOPreparedMessage, except: EngineIOSession? = nil) {
        sockets.send(prepared.webSocket, except: except?.webSocket)
    }
}
